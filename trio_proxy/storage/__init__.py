"""Messages on disk: kept in a Maildir, held for people, or spooled while rules look."""
