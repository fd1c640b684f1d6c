"""Ask an S3 store to break its rules, with objects of its own, and see what became of them.

A refused deletion proves a lock only when the same credentials may delete what is not locked; where they may not, the
rule could not be asked. What can be judged by what is there afterwards is not judged by an answer.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from extproc.audit.settings import LockMode, S3Store
from extproc.audit.stores.inspect import Finding, Inspection, Result, Rule
from extproc.audit.stores.inspect_probes import TEXT, Outcome, Probe, Probes
from extproc.audit.stores.s3_wire import sha256_text

NO_LOCK = "the bucket has no Object Lock"
NO_RIGHT = "these credentials may not delete what is not locked, so a refusal proves nothing"
NO_EXTENSION = "these credentials may not change a lock at all, so a refusal proves nothing"
_LOCK_RULES = (
    Rule.DELETE_LOCKED,
    Rule.DELETE_LOCKED_BYPASS,
    Rule.DELETE_MANY_LOCKED,
    Rule.SHORTEN,
    Rule.DOWNGRADE,
    Rule.SUSPEND_VERSIONS,
    Rule.LOCK_READABLE,
    Rule.GOVERNANCE_DELETE,
    Rule.GOVERNANCE_BYPASS,
    Rule.LOCK_NEEDS_DATE,
    Rule.LOCK_IN_PAST,
    Rule.LOCK_NEEDS_CHECKSUM,
)


def inspect_s3(settings: S3Store) -> Inspection:
    """Every rule. Raises `StoreFailed` when the store cannot be asked at all."""
    probes = Probes(settings)
    lock = probes.store.lock_configuration(settings.bucket)
    bags = probes.store.lock_configuration(settings.keys_bucket) if settings.keys_bucket else lock
    try:
        findings = [
            Finding(Rule.OBJECT_LOCK, _holds(lock is not None)),
            *_ask_writing(probes, settings.bucket, probes.lock(LockMode.GOVERNANCE) if lock else {}),
            *_ask_bags(probes, settings.keys_bucket or settings.bucket, bags),
            *(_ask_locks(probes, settings.bucket) if lock else _all(_LOCK_RULES, Result.NOT_ENFORCED, NO_LOCK)),
            _ask_lock_elsewhere(probes, settings.bucket if not lock else settings.keys_bucket if not bags else ""),
        ]
    finally:
        kept = probes.clear()
    order = list(Rule)
    ordered = sorted(findings, key=lambda finding: order.index(finding.rule))
    return Inspection("s3", probes.place, tuple(ordered), kept)


def _holds(yes: bool) -> Result:
    return Result.ENFORCED if yes else Result.NOT_ENFORCED


def _all(rules: tuple[Rule, ...], result: Result, because: str) -> Iterator[Finding]:
    return (Finding(rule, result, because) for rule in rules)


def _ask_writing(probes: Probes, bucket: str, lock: dict[str, Any]) -> Iterator[Finding]:
    """One key: written once, again, over, under a delete marker; then its first version is looked for."""
    key, more = probes.key(), {"ChecksumAlgorithm": "SHA256", **lock}
    new, first = probes.put(bucket, key, IfNoneMatch="*", **more)
    if new.status != 200:
        unknown = new.status in (0, 401, 403)
        yield Finding(Rule.WRITE_NEW, Result.NOT_ASKED if unknown else Result.NOT_ENFORCED, new.code)
        rules = (Rule.WRITE_ONCE, Rule.WRITE_ONCE_MARKER, Rule.OLDEST_STAYS, Rule.LIST_VERSIONS)
        yield from _all((*rules, Rule.CHECKSUM, Rule.CHECKSUM_HONEST, Rule.WRONG_SECRET), Result.NOT_ASKED, new.code)
        return
    yield Finding(Rule.WRITE_NEW, Result.ENFORCED)
    again, _ = probes.put(bucket, key, b"again", IfNoneMatch="*", **more)
    yield Finding(Rule.WRITE_ONCE, _conditional(again), again.code)
    over, later = probes.put(bucket, key, b"over", **more)
    marker, _ = probes.ask(probes.client.delete_object, Bucket=bucket, Key=key)
    if marker.status == 200:
        under, _ = probes.put(bucket, key, b"under", IfNoneMatch="*", **more)
        yield Finding(Rule.WRITE_ONCE_MARKER, _conditional(under), under.code)
    else:
        yield Finding(Rule.WRITE_ONCE_MARKER, Result.NOT_ASKED, marker.code)
    yield _ask_first_version(probes, first, over)
    yield _ask_listing(probes, (first, later))
    yield from _ask_checksum(probes, bucket, lock)
    yield _ask_secret(probes, first)


def _conditional(outcome: Outcome) -> Result:
    if outcome.status == 412:
        return Result.ENFORCED
    return Result.NOT_ENFORCED if outcome.status == 200 else Result.NOT_ASKED


def _ask_first_version(probes: Probes, first: Probe, over: Outcome) -> Finding:
    if over.status != 200:
        return Finding(Rule.OLDEST_STAYS, Result.NOT_ASKED, over.code)
    outcome, answer = probes.ask(probes.client.get_object, **first.at())
    if outcome.status == 200:
        return Finding(Rule.OLDEST_STAYS, _holds(answer["Body"].read() == TEXT))
    return Finding(Rule.OLDEST_STAYS, Result.NOT_ENFORCED if outcome.status == 404 else Result.NOT_ASKED, outcome.code)


def _ask_listing(probes: Probes, written: tuple[Probe, ...]) -> Finding:
    first = written[0]
    outcome, answer = probes.ask(probes.client.list_object_versions, Bucket=first.bucket, Prefix=first.key)
    if outcome.status != 200:
        return Finding(Rule.LIST_VERSIONS, Result.NOT_ASKED, outcome.code)
    listed = {item["VersionId"] for item in answer.get("Versions", [])}
    complete = len({probe.version for probe in written} & listed) == len(written)
    return Finding(Rule.LIST_VERSIONS, _holds(complete and bool(answer.get("DeleteMarkers"))))


def _ask_checksum(probes: Probes, bucket: str, lock: dict[str, Any]) -> Iterator[Finding]:
    wrong = sha256_text(b"something else")
    outcome, probe = probes.put(bucket, probes.key(), ChecksumAlgorithm="SHA256", ChecksumSHA256=wrong, **lock)
    yield Finding(Rule.CHECKSUM, outcome.refusal(), outcome.code)
    if outcome.status != 200:
        yield Finding(Rule.CHECKSUM_HONEST, outcome.refusal(), outcome.code)
        return
    told, head = probes.ask(probes.client.head_object, **probe.at(), ChecksumMode="ENABLED")
    result = _holds(head.get("ChecksumSHA256") != wrong) if told.status == 200 else Result.NOT_ASKED
    yield Finding(Rule.CHECKSUM_HONEST, result, told.code)


def _ask_secret(probes: Probes, first: Probe) -> Finding:
    stranger = probes.with_wrong_secret()
    if stranger is None:
        return Finding(Rule.WRONG_SECRET, Result.NOT_ASKED, "no credentials")
    outcome, _ = probes.ask(stranger.get_object, **first.at())
    if outcome.status in (400, 401, 403):
        return Finding(Rule.WRONG_SECRET, Result.ENFORCED)
    return Finding(Rule.WRONG_SECRET, outcome.refusal(), outcome.code)


def _ask_bags(probes: Probes, bucket: str, lock: Any) -> Iterator[Finding]:
    """A default retention would lock the probe for as long as a key bag, so it is not put there."""
    default = bool(lock and lock.get("Rule", {}).get("DefaultRetention"))
    yield Finding(Rule.BAG_DEFAULT, _holds(not default))
    if default:
        yield Finding(Rule.BAG_DELETE, Result.NOT_ENFORCED, "the bucket's default retention locks it")
        return
    outcome, probe = probes.put(bucket, probes.key(), ChecksumAlgorithm="SHA256")
    if outcome.status != 200:
        yield Finding(Rule.BAG_DELETE, Result.NOT_ASKED, outcome.code)
        return
    outcome, _ = probes.ask(probes.client.delete_object, **probe.at())
    there = probes.is_there(probe)
    if outcome.status == 403 or there is None:
        yield Finding(Rule.BAG_DELETE, Result.NOT_ASKED, "these credentials may not delete; the shredder's must")
    else:
        yield Finding(Rule.BAG_DELETE, _holds(not there), outcome.code)


def _ask_locks(probes: Probes, bucket: str) -> Iterator[Finding]:
    able = _may_delete(probes, bucket)
    client = probes.client
    for rule, mode, more in (
        (Rule.DELETE_LOCKED, LockMode.COMPLIANCE, {}),
        (Rule.DELETE_LOCKED_BYPASS, LockMode.COMPLIANCE, {"BypassGovernanceRetention": True}),
        (Rule.GOVERNANCE_DELETE, LockMode.GOVERNANCE, {}),
        (Rule.GOVERNANCE_BYPASS, LockMode.GOVERNANCE, {"BypassGovernanceRetention": True}),
    ):
        outcome, probe = probes.put_locked(mode)
        if outcome.status == 200:
            probes.ask(client.delete_object, **probe.at(), **more)
        yield _survival(probes, rule, outcome, probe, able)
    outcome, probe = probes.put_locked(LockMode.COMPLIANCE)
    if outcome.status == 200:
        named = {"Objects": [{"Key": probe.key, "VersionId": probe.version}]}
        probes.ask(client.delete_objects, Bucket=bucket, Delete=named)
    yield _survival(probes, Rule.DELETE_MANY_LOCKED, outcome, probe, able)
    yield from _ask_changes(probes)
    yield _ask_versions(probes, bucket)
    yield from _ask_wrong_locks(probes, bucket)


def _may_delete(probes: Probes, bucket: str) -> bool:
    """Delete markers are under no lock, and taking one away needs the same right as a version."""
    _, probe = probes.put_locked(LockMode.GOVERNANCE)
    outcome, answer = probes.ask(probes.client.delete_object, Bucket=bucket, Key=probe.key)
    if outcome.status != 200 or "VersionId" not in answer:
        return False
    marker = Probe(bucket, probe.key, answer["VersionId"])
    return probes.ask(probes.client.delete_object, **marker.at())[0].status == 200


def _survival(probes: Probes, rule: Rule, made: Outcome, probe: Probe, able: bool) -> Finding:
    if made.status != 200:
        return Finding(rule, Result.NOT_ASKED, made.code)
    there = probes.is_there(probe)
    if there is None:
        return Finding(rule, Result.NOT_ASKED, "the object cannot be looked for")
    if there and not able:
        return Finding(rule, Result.NOT_ASKED, NO_RIGHT)
    return Finding(rule, _holds(there))


def _ask_changes(probes: Probes) -> Iterator[Finding]:
    """Shorter, weaker, and longer, which is allowed: that shows that the credentials may change locks."""
    made, probe = probes.put_locked(LockMode.COMPLIANCE)
    before = probes.lock_of(probe) if made.status == 200 else None
    if before is None:
        yield from _all((Rule.SHORTEN, Rule.DOWNGRADE, Rule.LOCK_READABLE), Result.NOT_ASKED, made.code)
        return
    told, answer = probes.ask(probes.client.get_object_retention, **probe.at())
    same = answer.get("Retention", {}).get("Mode") == "COMPLIANCE"
    yield Finding(Rule.LOCK_READABLE, Result.NOT_ASKED if told.status == 403 else _holds(same), told.code)
    _, until = before
    longer = {"Mode": "COMPLIANCE", "RetainUntilDate": until + timedelta(seconds=5)}
    able = probes.ask(probes.client.put_object_retention, **probe.at(), Retention=longer)[0].status == 200
    for rule, changed in (
        (Rule.SHORTEN, {"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(seconds=30)}),
        (Rule.DOWNGRADE, {"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(seconds=5)}),
    ):
        probes.ask(probes.client.put_object_retention, **probe.at(), Retention=changed, BypassGovernanceRetention=True)
        after = probes.lock_of(probe)
        stands = after is not None and after[0] == "COMPLIANCE" and after[1] >= until
        if after is None or (stands and not able):
            yield Finding(rule, Result.NOT_ASKED, NO_EXTENSION if after else "the lock cannot be read")
        else:
            yield Finding(rule, _holds(stands))


def _ask_versions(probes: Probes, bucket: str) -> Finding:
    """Where the store does turn versions off, they are on again at once."""
    states = {"Bucket": bucket}
    outcome, _ = probes.ask(
        probes.client.put_bucket_versioning, **states, VersioningConfiguration={"Status": "Suspended"}
    )
    if outcome.status == 200:
        probes.ask(probes.client.put_bucket_versioning, **states, VersioningConfiguration={"Status": "Enabled"})
    return Finding(Rule.SUSPEND_VERSIONS, outcome.refusal(), outcome.code)


def _ask_wrong_locks(probes: Probes, bucket: str) -> Iterator[Finding]:
    lock = probes.lock(LockMode.COMPLIANCE)
    endless = {"ObjectLockMode": "COMPLIANCE"}
    over = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": probes.now() - timedelta(hours=1)}
    for rule, client, more in (
        (Rule.LOCK_NEEDS_DATE, None, {"ChecksumAlgorithm": "SHA256", **endless}),
        (Rule.LOCK_IN_PAST, None, {"ChecksumAlgorithm": "SHA256", **over}),
        (Rule.LOCK_NEEDS_CHECKSUM, probes.without_checksums(), lock),
    ):
        outcome, _ = probes.put(bucket, probes.key(), client=client, **more)
        yield Finding(rule, outcome.refusal(), outcome.code)


def _ask_lock_elsewhere(probes: Probes, bucket: str) -> Finding:
    if not bucket:
        return Finding(Rule.LOCK_NEEDS_LOCKING_BUCKET, Result.NOT_ASKED, "every bucket here has Object Lock")
    lock = probes.lock(LockMode.GOVERNANCE)
    outcome, _ = probes.put(bucket, probes.key(), ChecksumAlgorithm="SHA256", **lock)
    return Finding(Rule.LOCK_NEEDS_LOCKING_BUCKET, outcome.refusal(), outcome.code)
