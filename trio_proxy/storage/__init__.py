"""Messages on disk: captured in a Maildir, held in quarantine, or spooled while rules look at them."""
