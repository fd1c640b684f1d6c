"""A signal that comes while its event is being waited for is no deadlock."""

import os
import signal
import threading
from pathlib import Path

import pytest

import extproc
from extproc.edge.stop_signals import set_on_signal


@pytest.mark.timeout(60)
def test_a_signal_within_a_call_of_the_event_sets_it_all_the_same() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    ended = threading.Event()
    try:
        set_on_signal(ended, (signal.SIGUSR1,))
        with ended._cond:  # as inside of `wait`
            os.kill(os.getpid(), signal.SIGUSR1)
        assert ended.wait(30)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_no_other_code_sets_an_event_in_a_handler() -> None:
    """The handlers of the demo and of an export set none: they leave."""
    package = Path(extproc.__file__).parent
    own = {str(path.relative_to(package)) for path in package.rglob("*.py") if "signal.signal(" in path.read_text()}
    assert own == {"edge/stop_signals.py", "cli/demo.py", "cli/audit_export.py"}
