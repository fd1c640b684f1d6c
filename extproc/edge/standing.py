"""What the supervisor knows of itself, for whoever asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """`failing`: the controls of the supervisor's own that do not work."""

    alive: bool
    draining: bool
    failing: tuple[str, ...] = ()
