"""The records that the log writes about itself (PCI DSS v4.0.1 10.2.1.6)."""

from extproc.core.record import Actor, EventCode, Outcome, Record, Resource

Detail = dict[str, str | int | float | bool]


def log_record(
    event_code: EventCode, writer: str, time_ms: int, detail: Detail, status: Outcome = Outcome.SUCCEEDED
) -> Record:
    """A record whose actor is the journal's writer."""
    return Record(
        event_code=event_code,
        time_ms=time_ms,
        actor=Actor(uid=f"extproc|{writer}"),
        status=status,
        src_address="local",
        resource=Resource(connection="audit-log", operation="audit", protocol="journal"),
        detail=detail,
    )
