"""Composition: settings -> parts -> one worker that serves until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
from google.protobuf.internal import api_implementation

from extproc.approvals.budget_desk import BudgetDesk
from extproc.approvals.desk import Desk
from extproc.approvals.late_store import LateStore
from extproc.approvals.revisions import Unusable
from extproc.approvals.store import open_store
from extproc.audit.keys.first_keys import first_keys
from extproc.audit.keys.keys import APPROVALS, AuditKeys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.audit.log.journal import Journal
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.sealed import Sealer, fingerprint, load_custodian_key
from extproc.core.connections import only_by_model
from extproc.core.policy_document import PolicyInvalid
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode, Outcome
from extproc.core.snapshot import Connection
from extproc.edge.authenticator import Authenticator
from extproc.edge.authenticator_in_force import AuthenticatorInForce
from extproc.edge.configuration_takeover import Takeover
from extproc.edge.configuration_watch import AsRead, ConfigurationWatch
from extproc.edge.credential_files import CONTROL as CREDENTIALS
from extproc.edge.credential_files import CredentialFiles
from extproc.edge.direct import DIRECT
from extproc.edge.gate import read_or_create_gate
from extproc.edge.hardening import forbid_core_dumps
from extproc.edge.identity_control import IdentityControl, identity_terms
from extproc.edge.key_inventory import check_cryptoperiods
from extproc.edge.kubernetes_events import Cluster, KubernetesEvents
from extproc.edge.policy_control import PolicyControl
from extproc.edge.policy_in_force import PolicyInForce, own_record
from extproc.edge.policy_status import status_path, tell_status
from extproc.edge.program import digest_file, digest_package, program_name
from extproc.edge.server import ExtProcServer
from extproc.edge.services import Services
from extproc.edge.settings import Settings
from extproc.edge.settings_file import read_digest_key, read_mask_keys
from extproc.edge.shadow_control import ShadowControl
from extproc.edge.telemetry import Telemetry
from extproc.edge.worker_gauges import offer_audit_gauges, offer_gauges

JOURNAL_WATCH_SECONDS = 0.5
LAST_CHARGES_SECONDS = 5.0
"""How long a worker that ends waits for the approval store to take what exchanges owe to budgets."""

_log = logging.getLogger(__name__)


def socket_path(settings: Settings, index: int) -> Path:
    """Where worker `index` listens; Envoy's bootstrap names the same paths."""
    return settings.run_directory / f"worker-{index}.sock"


class Worker:
    """One asyncio loop, one socket, one journal epoch."""

    def __init__(self, settings: Settings, index: int, as_read: AsRead) -> None:
        self._settings = settings
        self._index = index
        self._as_read = as_read
        self._stop = asyncio.Event()
        self._credentials = CredentialFiles(settings.connections)
        # All workers of a pod see the same file: one of them tells.
        self._events = KubernetesEvents(Cluster.around(os.environ) if index == 0 else None)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises when a part cannot start: nothing half-started serves."""
        settings = self._settings
        forbid_core_dumps()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        keys = first_keys(settings.audit)
        check_cryptoperiods(settings, keys, int(time.time() * 1000))
        keys.content.prepare(APPROVALS)
        custodian = load_custodian_key(settings.audit.sealed_key) if settings.audit.sealed_key else None
        in_force = PolicyInForce(
            self._credentials.load(),
            settings,
            digest_key=read_digest_key(settings.digest_key_file),
            mask_key=next(iter(read_mask_keys(settings)), None),
            configuration=self._as_read.digest,
        )
        telemetry = Telemetry.start(settings.telemetry, worker=self._index, deployment=settings.deployment)
        journal = Journal.open(
            settings.audit, keys, writer=f"worker-{self._index}", deliver=lambda call: _deliver(loop, call)
        )
        if custodian is not None:
            in_force.seal = Sealer(custodian, journal.origin)
        try:
            await self._serve(in_force, journal, keys, telemetry)
        finally:
            await asyncio.to_thread(journal.close)
            telemetry.stop(2.0)
        if journal.failed:
            sys.exit(1)  # the supervisor starts another, which has a journal of its own

    async def _serve(self, in_force: PolicyInForce, journal: Journal, keys: AuditKeys, telemetry: Telemetry) -> None:
        settings = self._settings
        policies = PolicyControl(in_force, journal, telemetry, self._events)
        telemetry.control_failure(CREDENTIALS, failing=False)
        policies.begin(await asyncio.to_thread(policies.file.load))
        gate_secret = read_or_create_gate(settings.run_directory)
        store = await self._approvals(keys)
        desk = Desk(store, settings.approvals)
        budgets = BudgetDesk(desk, store, in_force.digest_key)
        async with (
            httpx.AsyncClient(timeout=5.0, follow_redirects=False, mounts=DIRECT) as client,
            asyncio.TaskGroup() as tasks,
        ):
            terms = identity_terms(settings, in_force.digest_key)
            authenticator = AuthenticatorInForce(Authenticator(settings.issuers, client, terms=terms))

            def note(code: EventCode, status: Outcome, **detail: str | float | bool) -> None:
                journal.append_record(own_record(code, status, in_force.get().policy.digest, **detail))

            issuers = IdentityControl(authenticator, note, telemetry)
            shadows = ShadowControl(lambda: in_force.get().policy, note, telemetry)
            takeover = Takeover(in_force, self._credentials, authenticator, policies.file, self._warn_of_models)
            works = (
                authenticator.run(),
                issuers.run(),
                shadows.run(),
                self._credentials.run(in_force.serve, note, telemetry),
                ConfigurationWatch(self._as_read, takeover, note, telemetry).run(),
                desk.run(),
                budgets.run(),
                policies.run(),
                self._events.run(),
                tell_status(
                    status_path(settings.run_directory, self._index),
                    lambda: in_force.status(policies.file, telemetry.failing),
                ),
            )
            background = [tasks.create_task(work) for work in works]
            services = Services(
                snapshot=in_force.get,
                authenticator=authenticator.get,
                journal=journal,
                desk=desk,
                budgets=budgets,
                telemetry=telemetry,
                spawn=tasks.create_task,
                gate_secret=gate_secret,
            )
            server = ExtProcServer(
                services,
                socket_path(settings, self._index),
                max_body_bytes=settings.limits.max_body_bytes,
                port=settings.ext_proc,
            )
            offer_gauges(telemetry, settings, server, authenticator, budgets)
            offer_audit_gauges(telemetry, settings, journal, keys)
            await server.start()
            background.append(tasks.create_task(self._follow(journal, server, telemetry)))
            gc.collect()
            gc.freeze()
            self._warn_of_models(in_force.connections)
            _log.info("serving", extra={"policy_digest": in_force.get().policy.digest, **_engines()})
            await self._stop.wait()
            _log.info("draining", extra={"live": server.live})
            await server.stop(settings.drain_seconds)
            await budgets.settled(LAST_CHARGES_SECONDS)
            for task in background:
                task.cancel()

    def _warn_of_models(self, connections: tuple[Connection, ...]) -> None:
        by_model = only_by_model(connections)
        if by_model and self._index == 0:
            _log.warning("a request that names no model is refused there", extra={"connections": by_model})

    async def _follow(self, journal: Journal, server: ExtProcServer, telemetry: Telemetry) -> None:
        """Health says whether new exchanges can be recorded. A worker that can record nothing any more ends: it would
        refuse for ever."""
        serving = True
        failing: frozenset[str] = frozenset()
        while not journal.failed:
            for control in failing ^ journal.failing:
                telemetry.control_failure(control, failing=control not in failing)
            failing = journal.failing
            if serving is not journal.accepting():
                serving = not serving
                await server.set_serving(serving=serving)
            await asyncio.sleep(JOURNAL_WATCH_SECONDS)
        _log.critical("the audit journal failed; this worker ends")
        self._stop.set()

    async def _approvals(self, keys: AuditKeys) -> LateStore:
        """A store that cannot be opened now is opened when it is needed: until then held requests get 503."""
        store = LateStore(
            lambda: open_store(
                self._settings.approvals,
                seal=lambda context, data: seal_bytes(keys, context, data),
                unseal=lambda context, data: open_bytes(keys, context, data),
            )
        )
        try:
            await asyncio.to_thread(store.opened)
        except Unusable as unusable:
            _log.error("requests that need an approval are refused: %s", unusable.sentence)
        except Unavailable:
            _log.error("the approval store is not available; requests that need an approval are refused")
        return store


def _deliver(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """From the journal's thread into the loop. A loop that is closed has no exchange left that could wait."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


def _engines() -> dict[str, str]:
    """What the hot path really runs on: both have slow stand-ins in pure Python that nobody would notice by results."""
    return {
        "event_loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        "protobuf": api_implementation.Type(),
    }


def _introduced(settings: Settings, configuration_digest: str) -> Settings:
    """With what the audit log says of the program that writes it, and of the files it was started with.

    Raises `AuditRefused`.
    """
    key = settings.audit.sealed_key
    audit = replace(
        settings.audit,
        sealed_to=fingerprint(load_custodian_key(key)).hex() if key else "",
        program=program_name(),
        program_digest=digest_package(),
        configuration_digest=configuration_digest,
        policy_digest=digest_file(settings.policy_file),
    )
    return replace(settings, audit=audit)


def run_worker(settings: Settings, index: int, as_read: AsRead) -> None:
    """The whole life of one worker process, started with the configuration `as_read`."""
    import uvloop  # noqa: PLC0415 - only a serving process needs it

    grpc.aio.init_grpc_aio()
    try:
        uvloop.run(Worker(_introduced(settings, as_read.digest), index, as_read).run())
    except (AuditRefused, PolicyInvalid, OSError) as error:
        # Their texts name files and places, never content.
        _log.critical("the worker cannot serve: %s", error, extra={"worker": index, "failure": type(error).__name__})
        sys.exit(2)
