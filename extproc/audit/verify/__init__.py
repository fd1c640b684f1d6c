"""Proves the log, offline and with public keys alone, or names what is wrong with it and where."""
