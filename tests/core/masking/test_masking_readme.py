"""The list of what is masked names every kind, with its mask, and every profile."""

from pathlib import Path

from extproc.core.masking import settings
from extproc.core.masking.mask import LABELS
from extproc.core.masking.rule_catalogue import CATALOGUES
from extproc.core.masking.settings import Kind

README = (Path(settings.__file__).parent / "README.md").read_text()


def test_every_kind_is_in_the_list() -> None:
    rows = [line for line in README.splitlines() if line.startswith("|")]
    for kind in Kind:
        assert any(f"`{kind}`" in row and f"`{LABELS[kind]}`" in row for row in rows), kind
    for profile in CATALOGUES:
        assert any(f"profile `{profile}`" in row for row in rows), profile
