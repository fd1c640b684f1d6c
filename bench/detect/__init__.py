"""How much the scanner finds, and how little else, beside Presidio and LiteLLM. `python -m bench.detect.run`."""
