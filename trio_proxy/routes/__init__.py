"""Chooses the server of a client: lists of servers, their health, and the routes to them."""
