"""A request as it goes on to the model server."""

from dataclasses import dataclass, field

from extproc.core.trust import Masked


@dataclass(frozen=True, slots=True)
class MaskedRequest:
    """`body` is the original bytes when `changed` is false. `stripped` names the fields that were taken out."""

    body: Masked = field(repr=False)
    changed: bool
    stripped: tuple[str, ...]
