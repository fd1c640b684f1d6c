"""Keys and other secrets: that they are there, how old they are, and who may read them."""

import time
from collections.abc import Iterator
from pathlib import Path

from extproc.audit.keys.given import forbidden_bits, said_mode
from extproc.audit.keys.keys import missing_public_keys, open_keys
from extproc.audit.keys.register import near_their_end
from extproc.audit.refusal import AuditRefused
from extproc.edge.gate import GATE_FILE
from extproc.edge.key_inventory import key_facts
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, left, passed, warned


def check_keys(settings: Settings) -> Iterator[Check]:
    """Makes none: a service that starts does."""
    try:
        facts = key_facts(settings, open_keys(settings.audit))
    except (AuditRefused, OSError) as error:
        yield failed(
            "keys", f"the audit keys cannot be used: {error}", "is `audit.keys` right, and has a service begun?"
        )
        return
    now_ms = int(time.time() * 1000)
    expired = sorted({fact.purpose.value for fact in facts if fact.expired(now_ms)})
    ending = sorted({fact.purpose.value for fact in near_their_end(facts, now_ms)})
    mend = "`extproc audit rotate-keys`; a new file for `digest_key` and `mask_keys`"
    if expired:
        yield failed("keys", f"past their cryptoperiod: {', '.join(expired)}; no worker starts with them", mend)
    elif ending:
        yield warned("keys", f"come to the end of their cryptoperiod: {', '.join(ending)}", mend)
    else:
        yield passed("keys", f"{len(facts)} keys, the nearest end in {min(f.days_left(now_ms) for f in facts)} days")
    yield _check_public(settings)


def _check_public(settings: Settings) -> Check:
    if settings.audit.kms is not None:
        return left("keys, public", "they are the key management service's")
    if missing := missing_public_keys(settings.audit.keys):
        said = f"`deployment.pub` has lost {len(missing)} key(s): a part of the log is not proven with it"
        return failed("keys, public", said, "put them back behind the first, from an anchor's or a verifier's copy")
    return passed("keys, public", "`deployment.pub` names every key that ever signed")


def secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """What they are for, and where they are: those that nobody else has a check of his own for."""
    yield "digest_key", settings.digest_key_file
    yield from ((f"mask key {each.id}", each.file) for each in settings.mask_keys)
    yield from (
        (f"credential of {each.name}", each.credential_file) for each in settings.connections if each.credential_file
    )
    if settings.listener.tls is not None:
        yield "listener.tls.key", settings.listener.tls.key
    if settings.telemetry.otlp_headers_file is not None:
        yield "telemetry.otlp_headers_file", settings.telemetry.otlp_headers_file
    if settings.console is not None:
        if settings.console.tls is not None:
            yield "console.tls.key", settings.console.tls.key
        if settings.console.oidc is not None and settings.console.oidc.client_secret_file is not None:
            yield "console.oidc.client_secret_file", settings.console.oidc.client_secret_file
    if (settings.run_directory / GATE_FILE).exists():
        yield "gate secret", settings.run_directory / GATE_FILE
    if settings.audit.keys.is_dir():
        yield from (("audit key", path) for path in sorted(settings.audit.keys.glob("*.key")))


def check_files(settings: Settings) -> Check:
    """Modes of every secret, the way a folder of one's own and a mounted Secret have them."""
    name, found = "secrets, modes", tuple(secret_files(settings))
    loose = []
    for what, path in found:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            loose.append(f"{what} ({path}) cannot be looked at: {error.strerror}")
            continue
        if mode & forbidden_bits(path.parent):
            loose.append(f"{what} ({path}) has mode {mode & 0o777:04o}, not {said_mode(path.parent)}")
    if loose:
        return failed(name, "; ".join(loose), "chmod it; in a pod `defaultMode: 0440` with `fsGroup`")
    return passed(name, f"{len(found)} files are for their owner alone")
