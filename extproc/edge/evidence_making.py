"""The assessor's pack of a period, made of a deployment's configuration and its log. Who asks records that first."""

import dataclasses
from collections import Counter
from importlib.metadata import version

from extproc.audit.evidence.build import Occasion, build_pack
from extproc.audit.evidence.facts import Facts
from extproc.audit.evidence.pack import Pack
from extproc.audit.evidence.rows import Clean
from extproc.audit.evidence.self_test import run_self_test
from extproc.audit.evidence.subject import Listener, Subject
from extproc.audit.keys.keys import open_keys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.names import parse_key
from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import Reader, Span, evidence_of
from extproc.audit.reading.span import Span as AskedSpan
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import ObjectStore
from extproc.audit.verify.anchored import Anchored, report_alarms
from extproc.audit.verify.report import Report, Watch
from extproc.audit.verify.verify import verify
from extproc.core.masking.scanner import Scanner
from extproc.core.policy_document import PolicyInvalid
from extproc.core.printable import printable_line
from extproc.edge.key_inventory import key_facts
from extproc.edge.policy_file import Fitness, load_policy
from extproc.edge.settings import Settings
from extproc.edge.settings_file import read_mask_keys


class PackImpossible(Exception):
    """What a pack is made of cannot be read. The text is a sentence for whoever asked."""


def subject_of(settings: Settings, from_ms: int, to_ms: int, now_ms: int, anchored: Anchored | None = None) -> Subject:
    """What is known before the log is read. Raises `PackImpossible` when a key or the policy cannot be read."""
    try:
        policy = load_policy(settings.policy_file, Fitness.of(settings))
        keys = key_facts(settings, open_keys(settings.audit))
    except PolicyInvalid as invalid:
        raise PackImpossible(
            f"{settings.policy_file} has {len(invalid.problems)} problem(s): `extproc policy check` prints them"
        ) from invalid
    except (AuditRefused, OSError) as error:
        raise PackImpossible(f"the keys cannot be read ({error})") from error
    tls = settings.listener.tls
    return Subject(
        facts=Facts(from_ms, to_ms),
        settings=settings.audit,
        policy=policy,
        listener=Listener(tls is not None, tls is not None and tls.client_ca is not None),
        keys=keys,
        self_test=(),
        verify_exit=2,
        now_ms=now_ms,
        anchored=anchored,
    )


def make_pack(settings: Settings, store: ObjectStore, subject: Subject, occasion: Occasion, watch: Watch) -> Pack:
    """Read and verify the period, and judge it. Blocks as long as that takes.

    Raises `PackImpossible`, `SettingsInvalid`, `StoreFailed` or OSError.
    """
    report = _read(settings, store, subject, watch)
    scanner = Scanner(subject.policy.masking, key=next(iter(read_mask_keys(settings)), None))
    answered = dataclasses.replace(subject, self_test=run_self_test(scanner), verify_exit=report.exit_code)
    return build_pack(answered, occasion, report, _objects(store), _cleaner(scanner))


def occasion_of(who: str, requested: tuple[int, int], now_ms: int) -> Occasion:
    """`who` makes it now, with this version of the program."""
    return Occasion(now_ms, who, f"extproc {version('extproc')}", *requested)


def _read(settings: Settings, store: ObjectStore, subject: Subject, watch: Watch) -> Report:
    """Count every record of the period, and verify the log."""
    facts, audit = subject.facts, settings.audit
    span = Span(facts.from_ms, facts.to_ms)
    listing = evidence_of(audit.deployment, span)
    reader = Reader(Holdings.look(store, audit.spool, audit.deployment, listing=listing), span, facts.problems)
    for item in reader.records():
        facts.add(item)
    try:
        key = load_public_key(audit.keys / PUBLIC_KEY)
    except AuditRefused as error:
        raise PackImpossible(str(error)) from error
    report = verify(
        store,
        key,
        deployment=audit.deployment,
        spool=audit.spool,
        asked=AskedSpan(facts.from_ms, facts.to_ms),
        remembered=subject.anchored.remembered if subject.anchored else None,
        watch=watch,
    )
    if subject.anchored:
        report_alarms(report, subject.anchored)
    return report


def _objects(store: ObjectStore) -> Counter[str]:
    """How many the store lists now, by plane."""
    return Counter(stored.key.split("/")[1] for stored in store.list("v1/") if parse_key(stored.key) is not None)


def _cleaner(scanner: Scanner) -> Clean:
    """Foreign text may hold anything, so it goes through the same masking as a prompt."""
    return lambda text: printable_line(scanner.masker().mask_text(text))
