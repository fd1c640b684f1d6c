"""What the supervisor knows of itself, for whoever asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """`failing`: the controls of the supervisor's own that do not work.

    `restart_needed`: the configuration's file is another than the one that everything here was started with.
    """

    alive: bool
    draining: bool
    failing: tuple[str, ...] = ()
    restart_needed: bool = False
