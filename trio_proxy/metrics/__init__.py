"""Counts what happens, and shows the counts as metrics."""
