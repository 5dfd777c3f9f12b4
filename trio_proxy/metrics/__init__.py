"""What is counted, and how the counts are shown."""
