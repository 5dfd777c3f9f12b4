"""The limits for one client, one network of clients, and all clients together."""
