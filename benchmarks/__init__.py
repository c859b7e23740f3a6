"""What this package costs, measured; each module is a command: `python -m benchmarks.bulk`."""
