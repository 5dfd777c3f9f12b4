"""The driver: sockets, time limits, sessions, listeners, streams, and the built-in server."""
