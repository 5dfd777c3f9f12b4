"""Measures the cost of the proxy and of others: `python -m benchmarks`."""
