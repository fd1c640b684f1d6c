"""Envoy as it runs: its version, what it runs on, and the promises that rest on its configuration."""

from collections.abc import Callable, Iterator
from typing import Final

import httpx
import yaml

from extproc.edge.bootstrap import render_bootstrap, render_following
from extproc.edge.bootstrap_status import has_admin
from extproc.edge.envoy_admin import admin_socket
from extproc.edge.gate import GATE_FILE, parse_gate
from extproc.edge.settings import Settings
from extproc.live import envoy_guard
from extproc.live.check import Check, failed, left, passed, warned
from extproc.live.envoy_differences import find_differences
from extproc.live.envoy_dump import Dump, DumpFailed, Manager, dump_of_bootstrap, fetch_dump
from extproc.live.envoy_models import model_differences
from extproc.live.envoy_ways import guarded_listeners, model_addresses, unguarded_ways

OLDEST: Final = (1, 39, 0)
"""CVE-2026-47207, and answers that go on without a word before it."""
_SHOWN: Final = 5
_RENDER: Final = "start Envoy on what `extproc envoy config` writes"
_FOLLOW: Final = "has `extproc serve` taken this configuration over? `extproc envoy config` writes what Envoy follows"
_FILTERS: Final = "envoy/README.md says how the filter is set up"

_ASPECTS: Final[tuple[tuple[str, Callable[[Manager], Iterator[str]], str, str], ...]] = (
    ("envoy, modes", envoy_guard.faults_of_modes, "whole requests and every piece of an answer are judged", _FILTERS),
    ("envoy, failure mode", envoy_guard.faults_of_failure_mode, "a service that is down lets nothing on",
     "set `failure_mode_allow: false`"),
    ("envoy, overrides", envoy_guard.faults_of_overrides, "nothing turns the filter off or changes its modes",
     "set `allow_mode_override: false`, and take `typed_per_filter_config` of ext_proc off the routes"),
    ("envoy, request lock", envoy_guard.faults_of_request_lock, "a request goes on only with the service's decision",
     "put the RBAC filter of `extproc envoy config` right after ext_proc, and only the router after it"),
    ("envoy, response lock", envoy_guard.faults_of_response_lock, "an answer goes on only with the gate secret",
     "put the Lua filter of `extproc envoy config` before ext_proc"),
    ("envoy, retries", envoy_guard.faults_of_retries, "no route sends a request twice",
     "take `retry_policy` off routes and virtual hosts"),
)  # fmt: skip


def admin_client(settings: Settings, url: str) -> httpx.Client | None:
    """Of the admin at `url`, or where the configuration puts it; None where it has none."""
    if url:
        return httpx.Client(base_url=url.rstrip("/"), trust_env=False)
    if settings.envoy.admin_port:
        return httpx.Client(base_url=f"http://127.0.0.1:{settings.envoy.admin_port}", trust_env=False)
    if has_admin(settings):
        transport = httpx.HTTPTransport(uds=str(admin_socket(settings.run_directory)))
        return httpx.Client(base_url="http://admin", transport=transport, trust_env=False)
    return None


def check_envoy(settings: Settings, url: str) -> Iterator[Check]:
    """Everything that the admin tells."""
    client = admin_client(settings, url)
    if client is None:
        yield left("envoy", "not asked: there is no admin; set `envoy.admin_port` or `envoy.status_port`")
        return
    try:
        with client:
            dump = fetch_dump(client)
    except DumpFailed as error:
        yield failed("envoy", str(error), "does Envoy run, and is this its admin? See --envoy-admin")
        return
    yield _check_version(dump)
    yield _check_bootstrap(settings, dump)
    yield _check_models(settings, dump)
    yield from _check_managers(settings, dump)
    yield _check_ways(settings, dump)


def _check_version(dump: Dump) -> Check:
    said = ".".join(map(str, dump.version))
    if dump.version < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return failed("envoy, version", f"Envoy {said} is older than {wanted}", f"run Envoy {wanted} or newer")
    return passed("envoy, version", f"Envoy {said}")


def _gate(settings: Settings) -> str:
    """Raises OSError and `ValueError`. Makes none: a service that runs has one."""
    return parse_gate((settings.run_directory / GATE_FILE).read_text("ascii").strip())


def _check_bootstrap(settings: Settings, dump: Dump) -> Check:
    name = "envoy, bootstrap"
    if settings.ext_proc is not None:
        return left(name, "another gateway's Envoy calls the service: nothing here renders what it runs on")
    try:
        rendered = yaml.safe_load(render_following(settings, _gate(settings)))
    except (OSError, ValueError) as error:
        return failed(
            name, f"the gate secret cannot be read ({type(error).__name__})", "does `extproc serve` run here?"
        )
    places = find_differences(dump.bootstrap, rendered)
    if not places:
        return passed(name, "Envoy runs on what this configuration renders")
    return failed(name, f"Envoy runs on something else than this configuration renders: {_some(places)}", _RENDER)


def _check_models(settings: Settings, dump: Dump) -> Check:
    name = "envoy, models"
    if settings.ext_proc is not None:
        return left(name, "another gateway's Envoy calls the service: what it routes by is its own")
    places = tuple(model_differences(settings, dump))
    if not places:
        return passed(name, "Envoy has the model servers and routes of this configuration")
    return failed(
        name, f"Envoy's model servers and routes are others than this configuration's: {_some(places)}", _FOLLOW
    )


def _check_managers(settings: Settings, dump: Dump) -> Iterator[Check]:
    managers = [each for each in dump.managers() if envoy_guard.ext_proc_of(each) is not None]
    if not managers:
        yield failed("envoy, ext_proc", "no listener has an ext_proc filter: nothing is judged", _RENDER)
        return
    for name, faults, said, mend in _ASPECTS:
        yield _verdict(name, [fault for each in managers for fault in faults(each)], said, mend)
    slow = [fault for each in managers for fault in envoy_guard.faults_of_timeouts(each, settings)]
    yield _verdict("envoy, timeouts", slow, "nothing ends while a hold lasts", "raise it above `envoy.max_hold`")


def _check_ways(settings: Settings, dump: Dump) -> Check:
    models = model_addresses(settings)
    try:  # probes of model servers that the configuration asks for
        rendered = dump_of_bootstrap(yaml.safe_load(render_bootstrap(settings, _gate(settings))))
        wanted = frozenset(unguarded_ways(rendered, models))
    except (OSError, ValueError):
        wanted = frozenset()
    found = [way for way in unguarded_ways(dump, models) if way not in wanted]
    if found:
        return failed("envoy, ways in", f"a way to a model server that nobody judges: {_some(found)}", "take it away")
    listeners = guarded_listeners(dump, models)
    if len(listeners) > 1:
        return warned(
            "envoy, ways in", f"several listeners lead to model servers: {_some(listeners)}", "is each meant?"
        )
    return passed("envoy, ways in", "every way to a model server is judged")


def _verdict(name: str, faults: list[str], said: str, mend: str) -> Check:
    return failed(name, _some(faults), mend) if faults else passed(name, said)


def _some(texts: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
