"""Decides, and does nothing else: no clock, socket, environment, randomness or logging (import-linter keeps it so)."""
