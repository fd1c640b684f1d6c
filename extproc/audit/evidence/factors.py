"""Which authentication methods of a token mean more than one factor (PCI DSS v4.0.1 8.4.2), by RFC 8176."""

from collections.abc import Iterable

_KNOWLEDGE, _POSSESSION, _INHERENCE = "knowledge", "possession", "inherence"
_FACTORS = {
    "pwd": _KNOWLEDGE,
    "pin": _KNOWLEDGE,
    "kba": _KNOWLEDGE,
    "otp": _POSSESSION,
    "hwk": _POSSESSION,
    "swk": _POSSESSION,
    "sc": _POSSESSION,
    "pop": _POSSESSION,
    "sms": _POSSESSION,
    "tel": _POSSESSION,
    "fpt": _INHERENCE,
    "face": _INHERENCE,
    "iris": _INHERENCE,
    "retina": _INHERENCE,
    "vbm": _INHERENCE,
}
_MULTIPLE = "mfa"


def means_several_factors(methods: Iterable[str]) -> bool:
    """`mfa` says so; else methods of two different factors do. Two passwords are one factor."""
    said = set(methods)
    return _MULTIPLE in said or len({_FACTORS[method] for method in said if method in _FACTORS}) > 1


def is_automated(uid: str, client: str) -> bool:
    """Whether a token was issued to a program for itself: its subject is its client (RFC 9068 §2.2)."""
    return bool(client) and uid.rpartition("|")[2] == client
