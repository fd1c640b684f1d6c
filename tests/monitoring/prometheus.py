"""A real Prometheus on loopback that scrapes what it is told and evaluates the rules."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from extproc.local.ports import free_port
from tests.monitoring.rules import PROMETHEUS

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """A job: its name, `host:port` of its targets, and where they show their metrics."""

    job: str
    targets: tuple[str, ...]
    path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20, trust_env=False)
        document = answer.json()
        assert document["status"] == "success", document
        return document["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query, now."""
        return list(self.ask("query", query=expression)["result"])

    def names(self) -> set[str]:
        """Every metric that has been scraped or recorded."""
        return set(self.ask("label/__name__/values"))

    def firing(self) -> set[str]:
        return {each["labels"]["alertname"] for each in self.ask("alerts")["alerts"] if each["state"] == "firing"}

    def wait(self, found: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
        until = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
            time.sleep(0.3)


def hurried(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The rules as one file, evaluated each second, with no `for` above 2 s: how long each waits promtool has shown."""
    groups = [
        {
            **group,
            "interval": "1s",
            "rules": [{**rule, **({"for": "2s"} if "for" in rule else {})} for rule in group["rules"]],
        }
        for document in documents
        for group in document["groups"]
    ]
    return {"groups": groups}


@contextmanager
def run_prometheus(
    directory: Path, scrapes: Iterable[Scrape], rules: dict[str, Any], **labels: str
) -> Iterator[Prometheus]:
    """Scrapes each second; `labels` are put on all that it scrapes. Stopped when the block ends."""
    directory.mkdir(parents=True)
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules), "utf-8")
    jobs = [
        {
            "job_name": each.job,
            "metrics_path": each.path,
            "static_configs": [{"targets": [*each.targets], "labels": labels}],
        }
        for each in scrapes
    ]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": jobs,
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(PROMETHEUS), f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address={address}", "--enable-feature=exemplar-storage", "--log.level=warn",
    ]  # fmt: skip
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_ready(process, f"http://{address}", directory / "prometheus.log")
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/-/ready", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text("utf-8")[-2000:])
