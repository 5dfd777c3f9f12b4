"""What a process of the service has to do with the system that starts it: sockets, notices, its user."""
