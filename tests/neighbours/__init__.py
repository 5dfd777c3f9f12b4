"""Strategies that draw neighbours of the cases in tests/cases: other spellings of the same thing."""
