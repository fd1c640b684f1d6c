"""What the console counts: each record that it made durable, and which controls fail. Pushed by OTLP, or scraped.

Names and numbers of ours only: nothing that a person, a provider or a client wrote.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Self

from opentelemetry.metrics import Meter, Observation

from extproc.core.record import Record
from extproc.edge import metric_table as table
from extproc.edge.instruments import Controls, counter, observe
from extproc.edge.pipeline import Pipeline
from extproc.edge.settings import Settings

_STOP_SECONDS = 2.0


class ConsoleMetrics:
    """Of one console process, from `start` to `stop`. Never waits for a collector but when it stops."""

    def __init__(self, meter: Meter, stop: Callable[[float], None]) -> None:
        """`stop` flushes what `meter` counted, for so many seconds at most."""
        self._stop = stop
        self._events = counter(meter, table.CONSOLE_EVENTS)
        self._told = counter(meter, table.NOTIFICATIONS)
        self._controls = Controls(meter)
        self._untold: dict[str, int] = {}
        observe(meter, table.UNTOLD, self._read_untold)

    @classmethod
    def start(cls, settings: Settings, port: int) -> Self:
        """Answers `/metrics` on `port`; 0: does not. Raises `OSError` when that is taken."""
        named = replace(settings.telemetry, service_name=f"{settings.telemetry.service_name}-console")
        pipeline = Pipeline(named, settings.deployment, port)
        return cls(pipeline.meter, pipeline.stop)

    def count(self, record: Record) -> None:
        """A record that is durable: what happened, and the code of a refusal."""
        self._events.add(1, {"event": record.event_code.value, "refused": str(record.detail.get("refused", ""))})

    def control_failure(self, control: str, *, failing: bool) -> None:
        """A control fails, or works again."""
        self._controls.tell(control, failing=failing)

    def told(self, channel: str, outcome: str) -> None:
        """An attempt of a channel: `sent`, `failed` (and tried again) or `dead`."""
        self._told.add(1, {"channel": channel, "outcome": outcome})

    def untold(self, waiting: int, dead: int) -> None:
        """What all consoles together have not told."""
        self._untold = {"waiting": waiting, "dead": dead}

    def stop(self) -> None:
        """What a dead collector does not take in two seconds is lost. Call it once."""
        self._stop(_STOP_SECONDS)

    def _read_untold(self) -> list[Observation]:
        return [Observation(count, {"state": state}) for state, count in self._untold.items()]
