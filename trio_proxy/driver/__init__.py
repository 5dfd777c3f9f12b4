"""Sockets and seconds: sessions, listeners, streams, and the built-in server."""
