"""Records the result of each message, for the log and for metrics."""
