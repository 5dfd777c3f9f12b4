"""`smtp-proxy test`: what the rules would do with a message."""
