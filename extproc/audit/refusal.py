"""The audit log's own word for "this cannot be trusted or used"."""


class AuditRefused(Exception):
    """A fixed sentence for the operator, with a path or object key at most. Never content or key material."""


NOT_PARSED = (ValueError, RecursionError)
"""What parsing JSON raises when it is not of the form, also where it is nested so deeply that the parser gives up."""
