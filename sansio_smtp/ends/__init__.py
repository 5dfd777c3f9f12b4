"""The two ends of an SMTP dialogue, each usable alone: `ServerConnection` and `ClientConnection`."""
