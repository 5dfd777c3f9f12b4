"""Finds mistakes in rules before mail comes: in names, parameters and verdicts."""
