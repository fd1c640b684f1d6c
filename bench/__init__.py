"""What the service costs, measured beside the floor in one run on one machine. `python -m bench.run`."""
