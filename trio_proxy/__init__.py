"""The Trio driver of sansio-smtp, and the executable ``smtp-proxy``."""
