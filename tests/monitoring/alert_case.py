"""What an alert is tried with: series that make it fire, and series just under that do not."""

from dataclasses import dataclass, field

WHERE = 'namespace="llm",deployment="prod"'
POD = f'{WHERE},pod="gw-0",instance="10.0.0.1:9470"'
PROD = {"namespace": "llm", "deployment": "prod"}
GW_0 = {**PROD, "pod": "gw-0", "instance": "10.0.0.1:9470"}


@dataclass(frozen=True, slots=True)
class Case:
    """At `minutes` the alert fires from `fires`, with these labels and this summary, and from `calm` it does not.

    Series are promtool's: a name with labels, values `step` minutes apart. One that fires does not yet at `early` minutes.
    """

    alert: str
    minutes: int
    fires: dict[str, str]
    calm: dict[str, str]
    summary: str
    labels: dict[str, str] = field(default_factory=lambda: PROD)
    description: str = ""
    """Where the rule's own has something to fill in."""
    early: int | None = None
    step: int = 1
    """Minutes between two values, and between two evaluations."""


def control(alert: str, name: str, minutes: int, summary: str, **more: object) -> Case:
    """Of a control that fails; one that is back for a minute in between does not fire."""
    series = f'extproc_control_failing{{control="{name}",{POD}}}'
    whole, other = f"1x{minutes}", f'extproc_control_failing{{control="other",{POD}}}'
    broken = f"1x{minutes - 1} 0" if minutes > 1 else "0x2"
    return Case(alert, minutes, {series: whole}, {series: broken, other: whole}, summary, **more)  # type: ignore[arg-type]


def once(series: str, at: int, until: int, by: int = 1) -> dict[str, str]:
    """A counter that stands at 0 up to minute `at`, then at `by`."""
    return {series: f"0x{at - 1} {by}x{until - at}"}
