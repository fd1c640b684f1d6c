"""Reads the log: records, exchanges, transcripts as a conversation, and exports for other engines."""
