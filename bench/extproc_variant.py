"""The seam between the benchmark and the product: how the service, everything on, is started for a measurement."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from bench.load import Target
from bench.measure import ProcessTree
from bench.variants import EXTPROC, Variant
from extproc.local.guard import AUDIENCE, Wanted, start_guard
from extproc.local.issuer import mint_token

_POLICY = """
apiVersion: extproc/v1
kind: Policy
name: bench
masking: {profile: pci-strict, styles: {pan: label}}
rules:
  - {name: allow, effect: allow, match: {groups: [analysts]}}
  - {name: no-model-changes, effect: deny, match: {operations: [model_admin]}}
"""


def start_extproc(
    stack: ExitStack, upstream_port: int, folder: Path, telemetry: dict[str, Any] | None = None
) -> Variant | None:
    """Envoy with the service in front of the upstream on `upstream_port`, stopped when `stack` ends.

    `telemetry` is its section of the configuration; None: nothing is pushed or scraped.

    Everything on: token verified, policy, masking in both directions, records durable on disk, one worker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY, "utf-8")
    guard = start_guard(
        Wanted(
            directory=folder / "guard", upstream=f"http://127.0.0.1:{upstream_port}", workers=1, policy=policy,
            drain_seconds=1, overrides={"telemetry": telemetry} if telemetry else None,
        )
    )  # fmt: skip
    stack.callback(guard.stop)
    token = mint_token(
        guard.issuer_directory, subject="bench", groups=["analysts"], audience=AUDIENCE, issuer=guard.issuer.url
    )
    workers = psutil.Process(guard.service.process.pid).children()
    return Variant(EXTPROC, Target(guard.settings.listener.port, token), ProcessTree(workers[0].pid))
