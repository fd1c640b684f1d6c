"""SIGTERM and SIGINT as the end that a main thread waits for."""

import signal
import threading


def set_on_signal(ended: threading.Event, numbers: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)) -> None:
    """From the main thread. `ended` is set once a signal comes, also while this thread is within a call of `ended`."""

    def stop(*_: object) -> None:
        # An Event's lock is not reentrant, and the handler runs in the thread that may hold it just now.
        threading.Thread(target=ended.set, name="stop").start()

    for number in numbers:
        signal.signal(number, stop)
