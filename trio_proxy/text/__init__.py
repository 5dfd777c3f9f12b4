"""Text that people read and write: addresses, units, transcripts, logs."""
