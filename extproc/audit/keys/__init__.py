"""The deployment's keys: what signs and what wraps, in a file or in AWS KMS; how old they are, and how they change."""
