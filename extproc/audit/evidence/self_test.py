"""The detectors are asked what they find, with the policy's own settings, whenever a pack is made."""

import tomllib
from importlib.resources import files

import msgspec

from extproc.core.masking.scanner import Scanner


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text. `text` or `json` holds it."""

    name: str
    expect: str
    text: str = ""
    json: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found. `right`: the expected kind and, where nothing is expected, nothing."""

    name: str
    expected: str
    found: tuple[str, ...]
    right: bool


def load_cases() -> tuple[Case, ...]:
    document = files("extproc.audit.evidence").joinpath("self_test.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(document)["cases"], tuple[Case, ...])


def run_self_test(scanner: Scanner) -> tuple[Answer, ...]:
    """Each case by itself; no text is in the answers."""
    return tuple(_ask(scanner, case) for case in load_cases())


def _ask(scanner: Scanner, case: Case) -> Answer:
    masker = scanner.masker()
    given = case.json or case.text
    masked = masker.mask_json(case.json) if case.json else masker.mask_text(case.text)
    found = tuple(sorted(masker.findings))
    right = case.expect in found and masked != given if case.expect else not found and masked == given
    return Answer(name=case.name, expected=case.expect, found=found, right=right)
