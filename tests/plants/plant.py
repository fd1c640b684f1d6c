"""What a planted bug is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plant:
    """In `file` of the package, `old` (which stands there once) becomes `new`; `test` must then fail."""

    name: str
    file: str
    old: str
    new: str
    test: str
