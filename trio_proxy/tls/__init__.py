"""TLS with clients and servers: certificates and their files, contexts for both roles, results of
handshakes."""
