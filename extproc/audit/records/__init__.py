"""The stored form of a record: OCSF names, a closed schema, and one line of the chain."""
