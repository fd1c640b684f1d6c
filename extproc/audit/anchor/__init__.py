"""A witness under an identity of its own: remembers every head, co-signs checkpoints, raises alarms."""
