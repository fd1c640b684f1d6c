"""`extproc console` as a process: its journal, what ships it, its keys, and the server of its pages."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from extproc.approvals.database import open_database
from extproc.approvals.index.follow import Follower, follow
from extproc.approvals.index.writer import IndexWriter
from extproc.approvals.sessions import Sessions
from extproc.approvals.single_use import SingleUse
from extproc.approvals.store import ApprovalStore
from extproc.audit.keys.keys import AuditKeys, open_keys
from extproc.audit.keys.seal import open_bytes, seal_bytes
from extproc.audit.log.adopt import adopt_orphans
from extproc.audit.log.journal import Journal
from extproc.audit.log.shipper import Shipper, ShippingFailed
from extproc.audit.settings import AuditSettings
from extproc.audit.stores.store import open_store
from extproc.console.app import build_app
from extproc.console.approvals_due import ApprovalsDue
from extproc.console.connection import protocol_for
from extproc.console.controls import Controls, checks_of
from extproc.console.deployment import Deployment
from extproc.console.grpc_server import GrpcServer
from extproc.console.key_tending import KeyTending
from extproc.console.live import Live
from extproc.console.metrics import ConsoleMetrics
from extproc.console.oidc_provider import OidcProvider
from extproc.console.own_certificate import OwnCertificate
from extproc.console.parts import Parts
from extproc.console.provider_file import ProviderFile
from extproc.console.records import ConsoleLog, deliver_to
from extproc.console.request_signer import RequestSigner
from extproc.console.sealing import open_sealing
from extproc.console.telling import open_dispatcher
from extproc.console.token_keys import TokenKeys
from extproc.edge.authenticator import Authenticator
from extproc.edge.direct import DIRECT
from extproc.edge.hardening import forbid_core_dumps
from extproc.edge.settings import Settings
from extproc.edge.settings_console import ConsoleSettings
from extproc.edge.shipping_pace import ShippingPace

WRITER = "console"
TEND_SECONDS = 60.0
"""How often the keys that sign tokens are looked at."""
WATCH_SECONDS = 0.5
ADOPT_SECONDS = 5.0
MAX_REQUESTS = 256
"""At once, and connections; each may hold half a megabyte of form."""

_log = logging.getLogger("extproc.console")


async def run_console(settings: Settings, console: ConsoleSettings) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0, or 1 when the journal or what runs beside the server failed and
    another process must begin.

    Raises `AuditRefused`, `Unavailable`, `MetadataInvalid`, `SignerUnfit`, `TokenKeysUnfit` or OSError when a part
    cannot start.
    """
    forbid_core_dumps()
    # uvicorn stops at a signal, then raises it once more: for us, after its own handler is gone.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    provider, sealing = ProviderFile(console.saml, time.time()) if console.saml else None, open_sealing(console.keys)
    signer = RequestSigner.load(console.saml.signing) if console.saml and console.saml.signing else None
    keys = TokenKeys(console.keys, console.token) if console.token else None
    tending = KeyTending(keys) if keys else None
    if keys is not None and tending is not None:
        await asyncio.to_thread(tending.tend, time.time())
        keys.signing(time.time())
    metrics = ConsoleMetrics.start(settings, console.metrics_port)
    database = open_database(settings.approvals.database, settings.approvals.migrate)
    audit_keys = open_keys(settings.audit)
    journal = Journal.open(
        settings.audit, audit_keys.for_records(), writer=WRITER, deliver=deliver_to(asyncio.get_running_loop())
    )
    client = httpx.AsyncClient(mounts=DIRECT)
    authenticator = Authenticator(settings.issuers, client)
    parts = Parts(
        console,
        provider,
        sealing,
        SingleUse(database),
        Sessions(database, console.idle_seconds),
        keys=keys,
        log=ConsoleLog(journal, metrics.count),
        approvals=ApprovalStore(
            database,
            lambda context, data: seal_bytes(audit_keys, context, data),
            lambda context, sealed: open_bytes(audit_keys, context, sealed),
        ),
        signer=signer,
        oidc=_oidc(settings, console, client),
        deployment=Deployment.of(settings, audit_keys, database),
        authenticator=authenticator,
    )
    certificate = OwnCertificate(console.tls) if console.tls else None
    try:
        calls = _grpc(parts, certificate)
        with _shipping(settings.audit, audit_keys):
            follower = Follower(open_store(settings.audit), settings.audit.deployment, IndexWriter(database))
            beside = (
                open_dispatcher(settings, parts, metrics).run(),
                ApprovalsDue(parts.approvals, parts.log).run(parts),
                follow(follower),
                authenticator.run(),
                *calls,
            )
            whole = await _serve(parts, journal, tending, metrics, beside, certificate=certificate)
            await asyncio.to_thread(journal.close)
    finally:
        await asyncio.to_thread(journal.close)
        await client.aclose()
        database.close()
        await asyncio.to_thread(metrics.stop)
    return 0 if whole and not journal.failed else 1


def _grpc(parts: Parts, certificate: OwnCertificate | None) -> list[Coroutine[Any, Any, None]]:
    """What serves programs, where they are served; its port is ours already. Raises `OSError`."""
    if not parts.settings.grpc_port:
        return []
    server = GrpcServer(parts, certificate)
    server.open()
    return [server.run()]


def _oidc(settings: Settings, console: ConsoleSettings, client: httpx.AsyncClient) -> OidcProvider | None:
    """The provider that people log in at, as `identity.issuers` knows it: the settings are checked for that."""
    if console.oidc is None:
        return None
    issuer = next(each for each in settings.issuers if each.issuer == console.oidc.issuer)
    return OidcProvider(issuer, console.oidc, console.callback_url, client, time.time)


class SayingServer(uvicorn.Server):
    """Says in the log that it serves, and where, once it listens: uvicorn's own lines are off.

    It serves no longer than what runs `beside` it: without its controls or its keys a console would look well.
    """

    live: Live | None = None
    """Streams that end before it does."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.live is not None:
            self.live.close()  # else it would wait for streams that end by themselves never
        await super().shutdown(sockets)

    whole = True
    """Nothing beside it has failed."""

    def beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:  # its text may quote what it met, so only its kind is said
            _log.error("a part of the console failed, and the console ends", extra={"failure": type(error).__name__})
            self.whole, self.should_exit = False, True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            tls = self.config.is_ssl
            _log.info("serving", extra={"address": self.config.host, "port": self.config.port, "tls": tls})


async def _serve(
    parts: Parts,
    journal: Journal,
    tending: KeyTending | None,
    metrics: ConsoleMetrics,
    others: Iterable[Coroutine[Any, Any, None]],
    *,
    certificate: OwnCertificate | None,
) -> bool:
    """Whether nothing beside the server failed, `others` among it."""
    settings = parts.settings
    server = SayingServer(
        uvicorn.Config(
            build_app(parts),
            host=settings.address,
            port=settings.port,
            ssl_certfile=_text(settings.tls.certificate) if settings.tls else None,
            ssl_keyfile=_text(settings.tls.key) if settings.tls else None,
            ssl_context_factory=certificate.context if certificate else None,
            http=protocol_for(settings.proxies),
            ws="none",
            lifespan="off",
            proxy_headers=False,  # a header says whatever who sends it likes
            server_header=False,
            access_log=False,
            log_config=None,
            limit_concurrency=MAX_REQUESTS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=10,
        ),
    )
    server.live = parts.live
    controls = Controls(checks_of(parts), journal.append_record, metrics)
    works = [_tend(tending, journal), _watch(server, journal), controls.run(parts.clock), *others]
    works.append(parts.live.run(parts.approvals))
    if parts.oidc is not None:
        works.append(parts.oidc.run())
    if certificate is not None:
        works.append(certificate.run())
    beside = [server.beside(each) for each in works]
    try:
        await server.serve()
    except SystemExit:  # how uvicorn says that it cannot listen
        raise OSError(f"the console cannot listen on {settings.address}:{settings.port}") from None
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
    return server.whole


async def _tend(tending: KeyTending | None, journal: Journal) -> None:
    while tending is not None:
        tending.record_owed(journal.append_record)
        await asyncio.sleep(TEND_SECONDS)
        await asyncio.to_thread(tending.tend, time.time())


async def _watch(server: uvicorn.Server, journal: Journal) -> None:
    """A journal that failed records nothing any more: the process ends, and another one has a journal of its own."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if journal.failed:
            server.should_exit = True
            return


@contextlib.contextmanager
def _shipping(settings: AuditSettings, keys: AuditKeys) -> Iterator[None]:
    """What is in the spool goes to the store, as `extproc serve` does it; where both run, one at a time works."""
    stopping = threading.Event()
    thread = threading.Thread(target=_ship, args=(settings, keys, stopping), name="shipper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _ship(settings: AuditSettings, keys: AuditKeys, stopping: threading.Event) -> None:
    """One last pass comes when it stops: the journal is closed then."""
    shipper, pace, adopted_at = Shipper(settings), ShippingPace(), 0.0
    while True:
        last = stopping.is_set()
        try:
            if last or time.monotonic() >= adopted_at + ADOPT_SECONDS:
                adopted_at = time.monotonic()
                adopt_orphans(settings, keys)
            shipper.ship_pending()
            pace.worked()
        except ShippingFailed as failed:
            pace.failed(failed)
        except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, shipping goes on trying
            _log.error("the log cannot be shipped or adopted", extra={"failure": type(error).__name__})
        if last:
            return
        stopping.wait(pace.seconds)


def _text(path: Path) -> str:
    return str(path)
