"""The session index: one row an exchange, so that a person finds it. Made of the audit records, and never evidence."""
