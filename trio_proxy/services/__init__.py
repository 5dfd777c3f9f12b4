"""What rules need that ask a service: a connection, an outage that is said once, the milter protocol."""
