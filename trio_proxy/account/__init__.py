"""What became of each message, for the log and for metrics."""
