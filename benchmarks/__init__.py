"""What the proxy costs, beside what others cost: `python -m benchmarks`."""
