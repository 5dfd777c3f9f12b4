"""Which server a client is connected to: lists of servers, their health, and the routes to them."""
