"""What all tests share: a busy machine is no reason to fail, nor is luck; `make fuzz` draws anew.

Of a planted bug no smallest example is looked for: that it is found says all.
"""

import functools
import gc
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings

import tests.grpc_at_home  # noqa: F401 - before anything else brings gRPC

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("fuzz", settings.get_profile("any-machine"), derandomize=False, max_examples=20_000)
settings.register_profile("planted", settings.get_profile("any-machine"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("any-machine")

PACE_SECONDS = 0.03
"""What `pace` takes on a machine as the bounds were made for, while nothing else runs on it."""


def pace() -> float:
    """How many times slower than that the machine is just now; 1 at least."""
    began = time.process_time()
    seen: dict[str, int] = {}
    for number in re.finditer(r"\d+", "4111 x 12 " * 30_000):
        piece = number.string[number.start() : number.start() + 8]
        seen[piece] = seen.get(piece, 0) + 1
    return max(1.0, (time.process_time() - began) / PACE_SECONDS)


@pytest.fixture(scope="session", autouse=True)
def _authorities_are_read_once() -> Iterator[None]:
    """Each `httpx.get` reads those that the machine trusts anew, for 20 ms of CPU: more than what is asked costs.

    Whoever says whom to trust, or how to say who one is, is served as ever.
    """

    def make(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is True and cert is None:
            return trusting(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)

    @functools.cache
    def trusting(trust_env: bool, *_: str | None) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=trust_env)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", make)
        yield


@pytest.fixture
def seconds_of() -> Callable[..., float]:
    """Seconds of CPU that a run takes, less what a slow machine or its other guests add: bounds are for one pace.

    By all threads, or by what `clock` counts. What other tests left is not swept meanwhile.
    """

    def measure(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
        before = pace()
        gc.disable()
        began = clock()
        try:
            run()
        finally:
            seconds = clock() - began
            gc.enable()
        return seconds / max(before, pace())

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a server that stands in for a real one was seen not to do, said after every run that asked it."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    said = [str(value) for report in reports for name, value in report.user_properties if name == "not enforced"]
    if said:
        terminalreporter.section("not enforced by the servers of the tests")
        for line in sorted(set(said)):
            terminalreporter.write_line(line)
