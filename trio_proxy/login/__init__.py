"""Logs in at a server: mechanisms of SASL, and the tokens that they carry."""
