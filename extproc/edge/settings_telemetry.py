"""The `telemetry` section of `config.yaml`, parsed: where spans, metrics and logs go, which exchanges get spans."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from extproc.core.document import Path as Place
from extproc.core.document import Report
from extproc.edge.bounded_file import read_bounded, read_failure

MAX_HEADERS: Final = 16
_ENDPOINT: Final[Place] = ("telemetry", "otlp_endpoint")
_CA_FILE: Final[Place] = ("telemetry", "otlp_ca_file")
_HEADERS_FILE: Final[Place] = ("telemetry", "otlp_headers_file")


class Protocol(StrEnum):
    """How OTLP is spoken. `http/json` is not: the SDK has no exporter for it."""

    GRPC = "grpc"
    HTTP = "http/protobuf"


class Keep(StrEnum):
    """What becomes of a denied, held, failed or found exchange that its caller did not sample."""

    ALWAYS = "always"
    """It gets spans all the same: an incident is not a matter of chance."""
    PARENT = "parent"
    """The caller's word is the last one."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What is empty or None is for the environment's `OTEL_*` variables to say."""

    otlp_endpoint: str = ""
    """`http://host:port` or `https://host:port`."""
    otlp_protocol: Protocol | None = None
    otlp_ca_file: Path | None = None
    otlp_headers_file: Path | None = None
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 0
    """Worker i serves /metrics on this port + i; 0: off."""
    supervisor_metrics_port: int = 0
    service_name: str = "extproc"
    sampling: float | None = None
    """The share of ordinary exchanges that get spans."""
    keep: Keep = Keep.ALWAYS
    trust_client_trace: bool = True
    forward_baggage: tuple[str, ...] = ()


def build_telemetry(values: Mapping[str, Any], absolute: Callable[[str], Path]) -> TelemetrySettings:
    """`values` have passed the schema; `absolute` says where a named file is."""
    made: Mapping[str, Callable[[Any], object]] = {
        "otlp_protocol": Protocol,
        "otlp_ca_file": absolute,
        "otlp_headers_file": absolute,
        "keep": Keep,
        "forward_baggage": tuple,
        "sampling": float,
    }
    given: dict[str, Any] = {key: made[key](value) if key in made else value for key, value in values.items()}
    return TelemetrySettings(**given)


def read_headers(path: Path) -> tuple[tuple[str, str], ...]:
    """The headers of a file, one `name=value` a line, names in lower case.

    Raises `ValueError` and `OSError`, which quote nothing of it.
    """
    try:
        lines = read_bounded(path).decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise ValueError("the file holds characters that no header carries") from None
    pairs = tuple(_header(line) for line in lines if line.strip())
    if len(pairs) > MAX_HEADERS:
        raise ValueError(f"the file holds more than {MAX_HEADERS} headers")
    return pairs


def _header(line: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not equals or not name.replace("-", "").replace("_", "").isalnum() or not value or not value.isprintable():
        raise ValueError("the file holds a line that is not `name=value`")
    return name.lower(), value


def check_telemetry(report: Report, is_origin: Callable[[str, set[str]], bool]) -> None:
    """Add a problem for what could not work. Opens no file."""
    endpoint = report.sound(_ENDPOINT)
    if endpoint and not is_origin(endpoint, {"http", "https"}):
        report.add(_ENDPOINT, "must be `http://host:port` or `https://host:port`")
    if report.sound(_CA_FILE) is not None and endpoint and endpoint.startswith("http:"):
        report.add_key(_CA_FILE, "has no effect without an `https` endpoint")


def check_telemetry_files(report: Report, folder: Path) -> None:
    """Add a problem for each file that the exporters could not use."""
    headers, authorities = report.sound(_HEADERS_FILE), report.sound(_CA_FILE)
    try:
        if headers is not None:
            read_headers(folder / headers)
    except OSError as error:
        report.add(_HEADERS_FILE, read_failure(error))
    except ValueError as error:
        report.add(_HEADERS_FILE, str(error))
    try:
        if authorities is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(folder / authorities)
    except (ssl.SSLError, OSError):
        report.add(_CA_FILE, "is not a PEM file of certificates")
