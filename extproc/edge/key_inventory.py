"""Every key that the service uses, with its cryptoperiod (PCI DSS v4.0.1 3.6.1.1, 3.7.4): the audit keys, and those of
digests and mask tokens."""

import logging
from collections.abc import Iterator

from extproc.audit.keys.keys import AuditKeys, locked, secret_fact
from extproc.audit.keys.register import DAY_MS, KeyFact, Purpose, near_their_end, refuse_expired, refuse_of_tomorrow
from extproc.edge.settings import Settings

_log = logging.getLogger(__name__)


def key_facts(settings: Settings, keys: AuditKeys) -> tuple[KeyFact, ...]:
    """All of them. Raises `AuditRefused` or OSError."""
    with locked(settings.audit.keys):
        return (*keys.facts, *_other_facts(settings))


def _other_facts(settings: Settings) -> Iterator[KeyFact]:
    directory, period = settings.audit.keys, settings.audit.cryptoperiod_days
    yield secret_fact(
        directory,
        settings.digest_key_file,
        Purpose.DIGEST,
        "HMAC-SHA-256",
        cryptoperiod_days=period,
        active=True,
    )
    for index, each in enumerate(settings.mask_keys):
        yield secret_fact(
            directory, each.file, Purpose.MASK, "HMAC-SHA-256", cryptoperiod_days=period, active=index == 0
        )


def check_cryptoperiods(settings: Settings, keys: AuditKeys, now_ms: int) -> None:
    """Say which keys come to their end soon. Raises `AuditRefused` when one that is in use is past it, or
    is of tomorrow."""
    facts = key_facts(settings, keys)
    refuse_of_tomorrow(facts, now_ms)
    refuse_expired(facts, now_ms)
    for fact in near_their_end(facts, now_ms):
        _log.warning(
            "the %s key comes to the end of its cryptoperiod in %d day(s)",
            fact.purpose,
            (fact.expires_ms - now_ms) // DAY_MS,
            extra={"key": fact.id},
        )
