"""How stored account data and keys are judged: requirements 3 and 4."""

from collections.abc import Callable

from extproc.audit.evidence.requirement import Basis, Judgement, Requirement, Status, judged
from extproc.audit.evidence.subject import CHECK_DAYS, Subject
from extproc.audit.keys.register import NOT_MET, Provider
from extproc.core.masking.settings import Kind, Style
from extproc.core.record import EventCode

_DETECTORS = "what no detector knows is not found; `extproc/core/masking/README.md` lists what is found and what is not"
_SENSITIVE = (Kind.TRACK, Kind.SECURITY_CODE, Kind.PIN, Kind.PIN_BLOCK)


def _masking(subject: Subject) -> str:
    return f"masking profile `{subject.policy.masking.profile}`, policy {subject.policy.digest}"


def _found(subject: Subject, kinds: tuple[Kind, ...]) -> int:
    names = {str(kind) for kind in kinds}
    return sum(count for (kind, _), count in subject.facts.findings.items() if kind in names)


def _excised(*kinds: Kind) -> Callable[[Subject], Judgement]:
    """For what is never written: every case of the self-test is found, and exchanges went through."""

    def judge(subject: Subject) -> Judgement:
        opaque = subject.facts.not_inspected.total
        return judged(
            (Status.ENFORCED, subject.detects(*kinds) and subject.requests > 0 and opaque == 0),
            (Status.SUPPORTED, subject.detects(*kinds)),
            by=(_masking(subject), "taken out in memory before anything is written or sent on; no setting keeps it"),
            facts={
                **subject.exchanges(),
                "found and taken out": _found(subject, kinds),
                "not inspected": opaque,
                "self-test": "every case found" if subject.detects(*kinds) else "a case was missed",
            },
            limits=(_DETECTORS,),
        )

    return judge


def _retention(subject: Subject) -> Judgement:
    days = subject.checked_days_ago()
    kept = subject.settings.content_retention_days
    over_age = subject.check_said("over_age") + subject.check_said("quarantined")
    return judged(
        (Status.SUPPORTED, days is not None and days <= CHECK_DAYS and over_age == 0),
        by=(f"`audit.content_retention` {kept}d", "`extproc audit retention-check`, `extproc audit shred`"),
        facts={
            "days since the newest retention check in the period": "none" if days is None else days,
            "over-age at that check": over_age,
            "transcripts shredded by two people": len(subject.facts.shredded),
            "over-age keys destroyed": subject.facts.over_age_keys,
        },
        limits=("the business reason for each retention time is the deployment's to document",),
    )


def _displayed(subject: Subject) -> Judgement:
    styles = subject.pan_styles()
    return judged(
        (Status.ENFORCED, subject.detects(Kind.PAN) and subject.requests > 0),
        (Status.SUPPORTED, subject.detects(Kind.PAN)),
        by=(_masking(subject), f"card numbers are shown as: {', '.join(sorted(styles))}"),
        facts={**subject.exchanges(), "card numbers masked": _found(subject, (Kind.PAN,))},
        limits=("at most the first six and last four digits are ever shown, to whoever reads", _DETECTORS),
    )


def _sealed_originals(subject: Subject) -> str:
    """Whether card numbers are kept for a custodian, under which key, and who looked at them."""
    keys = ", ".join(sorted(subject.facts.sealed_to))
    if not keys and subject.settings.sealed_key is None:
        kept = "off"
    else:
        kept = f"on, HPKE to the key {keys or 'of `audit.sealed_originals`'}"
    opened = subject.facts.opened
    who = ", ".join(f"{person}: {count}" for person, count in opened)
    return f"{kept}; openings: {opened.total}{f' ({who})' if who else ''}"


def _unreadable(subject: Subject) -> Judgement:
    opaque = subject.facts.not_inspected.total
    return judged(
        (Status.ENFORCED, subject.detects(Kind.PAN) and subject.requests > 0 and opaque == 0),
        (Status.SUPPORTED, subject.detects(Kind.PAN)),
        by=(_masking(subject), "transcripts hold masked text only, each encrypted with AES-256-GCM under its own key"),
        facts={
            **subject.exchanges(),
            "card numbers masked": _found(subject, (Kind.PAN,)),
            "not inspected": opaque,
            "sealed originals": _sealed_originals(subject),
        },
        limits=(_DETECTORS,),
    )


def _hashes(subject: Subject) -> Judgement:
    tokens = Style.TOKEN in subject.pan_styles()
    mask_keys = sum(key.purpose == "mask" and key.active for key in subject.keys)
    how = "HMAC-SHA-256 tokens under `mask_keys`" if tokens else "no hash of a card number is made"
    return judged(
        (Status.ENFORCED, subject.requests > 0 and (mask_keys > 0 or not tokens)),
        (Status.SUPPORTED, mask_keys > 0 or not tokens),
        by=(how, "digests of requests are keyed and cover masked text"),
        facts={
            **subject.exchanges(),
            "mask keys in use": mask_keys,
            "tokens of card numbers": "made" if tokens else "none made",
        },
    )


def _disks(subject: Subject) -> Judgement:
    return judged(
        (Status.ENFORCED, subject.requests > 0 and subject.expired_keys() == 0),
        (Status.SUPPORTED, subject.expired_keys() == 0),
        by=("transcripts are encrypted by the application; encryption of the disk is not relied on",),
        facts={**subject.exchanges(), "keys past their cryptoperiod": subject.expired_keys()},
    )


def _architecture(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, bool(subject.keys)),
        by=("`extproc audit keys`",),
        facts={"keys in the inventory": len(subject.keys)},
        limits=("the inventory is of this service's keys; TLS and upstream keys are elsewhere",),
    )


def _key_storage(subject: Subject) -> Judgement:
    in_kms = subject.keys_in_kms()
    return judged(
        (Status.ENFORCED, in_kms),
        by=("`audit.kms`",) if in_kms else ("key files, mode 0600",),
        facts={
            "keys in files": sum(key.provider is Provider.FILE for key in subject.keys),
            "of them for account data or the log": sum(key.falls_short for key in subject.keys),
        },
        limits=() if in_kms else (NOT_MET,),
    )


def _cryptoperiods(subject: Subject) -> Judgement:
    active = [key for key in subject.keys if key.active]
    return judged(
        (Status.ENFORCED, bool(active) and subject.expired_keys() == 0),
        by=(f"`audit.cryptoperiod` {subject.settings.cryptoperiod_days}d: past it no new epoch begins",),
        facts={
            "keys in use": len(active),
            "past their cryptoperiod": subject.expired_keys(),
            "rotations in the period": subject.count(EventCode.ADMIN_KEY_ROTATE),
        },
    )


def _retirement(subject: Subject) -> Judgement:
    retired = sum(not key.active for key in subject.keys)
    return judged(
        (Status.ENFORCED, retired > 0),
        (Status.SUPPORTED, bool(subject.keys)),
        by=("`extproc audit rotate-keys`: retired keys open what they wrapped, and wrap nothing",),
        facts={"retired keys": retired, "rotations in the period": subject.count(EventCode.ADMIN_KEY_ROTATE)},
    )


def _transport(subject: Subject) -> Judgement:
    how = "`listener.tls`" if subject.listener.tls else "no `listener.tls`: plain HTTP, for a proxy in front of it"
    mutual = ("client certificates are required",) if subject.listener.client_certificates else ()
    return judged(
        (Status.SUPPORTED, subject.listener.tls),
        by=(how, *mutual),
        facts={**subject.exchanges()},
        limits=("the way from Envoy to the model server is not encrypted by this service",),
    )


DATA = (
    Requirement(
        "3.2.1", "3.1", "Stored account data is little, kept for a set time, and checked quarterly", _retention
    ),
    Requirement("3.3.1", "3.2", "Sensitive authentication data is not kept, encrypted or not", _excised(*_SENSITIVE)),
    Requirement("3.3.1.1", "3.2.1", "No track data is kept", _excised(Kind.TRACK)),
    Requirement("3.3.1.2", "3.2.2", "No card verification code is kept", _excised(Kind.SECURITY_CODE)),
    Requirement("3.3.1.3", "3.2.3", "No PIN and no PIN block is kept", _excised(Kind.PIN, Kind.PIN_BLOCK)),
    Requirement("3.4.1", "3.3", "Card numbers are masked where they are shown", _displayed),
    Requirement("3.5.1", "3.4", "Card numbers are unreadable wherever they are stored", _unreadable),
    Requirement("3.5.1.1", "new", "Hashes of card numbers are keyed", _hashes),
    Requirement("3.5.1.2", "new", "Disk encryption alone does not make card numbers unreadable", _disks),
    Requirement("3.6.1.1", "3.5.1", "The cryptographic architecture is documented", _architecture, Basis.SETTINGS),
    Requirement(
        "3.6.1.2",
        "3.5.3",
        "Secret keys are kept in a secure device or service, or encrypted",
        _key_storage,
        Basis.SETTINGS,
    ),
    Requirement(
        "3.7.4", "3.6.4", "Every key has a cryptoperiod, and is changed at its end", _cryptoperiods, Basis.SETTINGS
    ),
    Requirement("3.7.5", "3.6.5", "Retired keys are no longer used to encrypt", _retirement, Basis.SETTINGS),
    Requirement("4.2.1", "4.1", "Card numbers are encrypted on open networks", _transport, Basis.SETTINGS),
)
