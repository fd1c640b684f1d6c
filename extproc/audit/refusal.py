"""The audit log's own word for "this cannot be trusted or used"."""


class AuditRefused(Exception):
    """A fixed sentence for the operator, with a path or object key at most. Never content or key material."""
