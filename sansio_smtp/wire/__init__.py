"""Converts octets to values and back: lines, commands, replies, mail data."""
