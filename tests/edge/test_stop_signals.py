"""A signal that comes while its event is being waited for is no deadlock."""

import os
import signal
import threading

import pytest

from extproc.edge.stop_signals import set_on_signal


@pytest.mark.timeout(5)
def test_a_signal_within_a_call_of_the_event_sets_it_all_the_same() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    ended = threading.Event()
    try:
        set_on_signal(ended, (signal.SIGUSR1,))
        with ended._cond:  # as inside of `wait`
            os.kill(os.getpid(), signal.SIGUSR1)
        assert ended.wait(4)
    finally:
        signal.signal(signal.SIGUSR1, before)
