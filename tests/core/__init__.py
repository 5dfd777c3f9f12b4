"""Unit tests: one module each, and each module wholly covered by its own (tests/individual_coverage.py)."""
