"""Helpers for rules that ask a service: connections, outages, the milter protocol."""
