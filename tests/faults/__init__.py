"""The account: faults of every party in every phase, and what became of each message at both ends."""
