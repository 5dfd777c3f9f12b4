"""Rule files: read, loaded, loaded again; tasks, threads and deadlines for rules."""
