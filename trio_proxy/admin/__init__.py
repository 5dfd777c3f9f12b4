"""The pages for those who watch the service, over HTTP."""
