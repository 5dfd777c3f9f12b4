"""TLS on both legs: certificates and their files, contexts for either role, results of handshakes."""
