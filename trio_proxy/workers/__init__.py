"""Worker processes that serve the same listening sockets, and the parent that starts and replaces them."""
