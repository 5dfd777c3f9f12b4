"""The HTTP pages for monitoring the service."""
