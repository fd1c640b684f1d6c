"""Telemetry: an empty export to the collector, and the addresses that are scraped."""

import os
from collections.abc import Iterator
from typing import Final

import httpx

from extproc.edge.exporting import open_sender
from extproc.edge.otel_environment import Signal, read_environment
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, left, passed

_SECONDS: Final = 5.0


def check_telemetry(settings: Settings) -> Iterator[Check]:
    """With the environment's `OTEL_*` variables as they are here."""
    yield _check_collector(settings)
    telemetry = settings.telemetry
    ports = [(f"metrics, worker {i}", telemetry.metrics_port + i) for i in range(settings.workers)]
    if not telemetry.metrics_port:
        yield left("metrics", "`telemetry.metrics_port` is off")
    if telemetry.supervisor_metrics_port:
        ports.append(("metrics, supervisor", telemetry.supervisor_metrics_port))
    for name, port in ports if telemetry.metrics_port else ports[settings.workers :]:
        yield _check_url(name, f"http://{_ask(telemetry.metrics_address)}:{port}/metrics", "extproc_")
    if settings.envoy.status_port:
        base = f"http://{_ask(settings.envoy.status_address)}:{settings.envoy.status_port}"
        yield _check_url("envoy, ready", f"{base}/ready", "LIVE")
    if settings.health is not None:
        where = f"http://{_ask(settings.health.address)}:{settings.health.port}/readyz"
        yield _check_url("health", where, "")


def _check_collector(settings: Settings) -> Check:
    export = read_environment(settings.telemetry, os.environ).exports[Signal.TRACES]
    mend = "does the collector run, and do protocol, address, authority and headers fit? Nothing waits for it"
    try:
        sender = open_sender(Signal.TRACES, export, settings.telemetry)
    except (OSError, ValueError):
        return failed(
            "otlp", "the exporter's files cannot be used", "see `telemetry.otlp_ca_file`, `otlp_headers_file`"
        )
    if sender is None:
        return left("otlp", "no collector is configured")
    try:
        taken = sender.send(b"")
    except Exception as error:  # noqa: BLE001 - the SDK's exporters raise what their transports do
        return failed("otlp", f"the collector did not take an empty export ({type(error).__name__})", mend)
    finally:
        sender.stop()
    if not taken:
        return failed("otlp", "the collector did not take an empty export", mend)
    return passed("otlp", "the collector takes what it is sent")


def _check_url(name: str, url: str, holds: str) -> Check:
    try:
        answer = httpx.get(url, timeout=_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return failed(name, f"{url} does not answer ({type(error).__name__})", "does what listens there run?")
    if answer.status_code != httpx.codes.OK or holds not in answer.text:
        return failed(name, f"{url} answers {answer.status_code}, not as it should", "is somebody else at this port?")
    return passed(name, f"{url} answers")


def _ask(address: str) -> str:
    """Where to ask what listens everywhere."""
    known = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where others listen
    return known.get(address, f"[{address}]" if ":" in address else address)
