"""Connects a process of the service to the system that starts it: sockets, notices, user."""
