"""Logs in to servers: SASL mechanisms, passwords and access tokens."""
