"""Captured mail for people: the line about each message that arrives, and what ``smtp-proxy show`` prints."""
