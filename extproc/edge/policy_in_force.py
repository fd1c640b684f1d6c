"""The snapshot that new exchanges take, and what a worker says of the policy in it."""

import time
from dataclasses import dataclass, replace
from functools import partial

from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.scanner import Scanner
from extproc.core.originals import SealOriginal
from extproc.core.policy import Policy
from extproc.core.record import Actor, EventCode, Outcome, PolicyRef, Record, Resource
from extproc.core.snapshot import Connection, Snapshot
from extproc.core.trust import Secret
from extproc.edge.policy_file import PolicyFile, places_of
from extproc.edge.policy_status import PolicyStatus
from extproc.edge.settings import Settings

_SELF = Actor(uid="extproc", name="extproc")


@dataclass
class PolicyInForce:
    """Replaced whole at a reload, so that one exchange sees one policy."""

    connections: tuple[Connection, ...]
    settings: Settings
    digest_key: Secret
    mask_key: MaskKey | None = None
    seal: SealOriginal | None = None
    snapshot: Snapshot | None = None
    since_unix: float = 0.0
    """Since when the policy is in force; a policy that returns unchanged was so all the time."""
    configuration: str = ""
    """The digest of the configuration in force."""

    def put(self, policy: Policy) -> None:
        scanner = partial(Scanner, max_steps=self.settings.limits.max_scan_steps, key=self.mask_key)
        if self.snapshot is None or self.snapshot.policy.digest != policy.digest:
            self.since_unix = time.time()
        self.snapshot = Snapshot(
            policy=policy,
            scanner=scanner(policy.masking),
            mfa_classes=self._mfa_classes(),
            scanners={name: scanner(profile) for name, profile in policy.masking_profiles.items()},
            connections=self.connections,
            limits=self.settings.limits,
            digest_key=self.digest_key,
            seal=self.seal,
            approvals_url=self.settings.approvals_url,
            forward_baggage=frozenset(self.settings.telemetry.forward_baggage),
        )

    def serve(self, connections: tuple[Connection, ...]) -> None:
        """Other connections, or the same with other credentials, for new exchanges; running ones keep theirs."""
        self.connections = connections
        self.snapshot = replace(self.get(), connections=connections)

    def configure(self, settings: Settings, connections: tuple[Connection, ...], digest: str) -> None:
        """Another configuration, whose digest this is, with its connections, for new exchanges."""
        self.settings, self.connections, self.configuration = settings, connections, digest
        self.snapshot = replace(self.get(), connections=connections, mfa_classes=self._mfa_classes())

    def _mfa_classes(self) -> dict[str, tuple[str, ...]]:
        return {issuer.issuer: tuple(sorted(issuer.mfa_classes)) for issuer in self.settings.issuers}

    def get(self) -> Snapshot:
        if self.snapshot is None:
            raise RuntimeError("no policy was loaded")
        return self.snapshot

    def status(self, file: PolicyFile, controls: tuple[str, ...] = ()) -> PolicyStatus:
        """With what is known of `file`, which is watched for the next one, and which `controls` fail."""
        return PolicyStatus(
            digest=self.get().policy.digest,
            since_unix=self.since_unix,
            looked_unix=file.looked_unix,
            failing=file.failing,
            problems=places_of(file.problems),
            controls=controls,
            configuration=self.configuration,
        )


def own_record(code: EventCode, status: Outcome, policy_digest: str, **detail: str | float | bool) -> Record:
    """A record of what the service itself did."""
    return Record(
        event_code=code,
        time_ms=int(time.time() * 1000),
        actor=_SELF,
        status=status,
        src_address="local",
        resource=Resource(connection="none", operation=code.value, protocol="local", model=""),
        policy=PolicyRef(digest=policy_digest),
        detail=detail,
    )
