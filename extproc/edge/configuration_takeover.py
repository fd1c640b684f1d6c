"""Another configuration's connections and identity, put in force in a worker that serves."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from extproc.core.snapshot import Connection
from extproc.core.trust import Secret
from extproc.edge.authenticator_in_force import AuthenticatorInForce
from extproc.edge.credential_files import CredentialFiles
from extproc.edge.identity_control import identity_terms
from extproc.edge.policy_file import Fitness, PolicyFile, Suited
from extproc.edge.policy_in_force import PolicyInForce
from extproc.edge.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Settings to serve by, with the credentials that no file watched so far holds."""

    settings: Settings
    credentials: Mapping[str, Secret] = field(repr=False)
    suited: Suited = field(repr=False)


class Takeover:
    """What counts without a restart. An exchange sees all of one configuration: `put` does not wait in between."""

    def __init__(
        self,
        in_force: PolicyInForce,
        credentials: CredentialFiles,
        authenticator: AuthenticatorInForce,
        policy_file: PolicyFile,
        told: Callable[[tuple[Connection, ...]], None],
    ) -> None:
        """`told` gets the connections once they are in force."""
        self._in_force = in_force
        self._credentials = credentials
        self._authenticator = authenticator
        self._policy_file = policy_file
        self._told = told

    def prepare(self, found: Settings) -> Prepared:
        """Blocks. Raises `SettingsInvalid` and `PolicyInvalid`: what is not whole is not taken."""
        settings = self._in_force.settings.taking_over(found)
        credentials = self._credentials.read_new(settings.connections)
        return Prepared(settings, credentials, self._policy_file.suited(Fitness.of(settings)))

    def put(self, prepared: Prepared, digest: str) -> bool:
        """For exchanges that begin from now on; those under way keep what they began with.

        False: another policy came in force meanwhile, for which it was not prepared.
        """
        if not self._policy_file.may_suit(prepared.suited):
            return False
        settings, before = prepared.settings, self._in_force.settings
        self._authenticator.put(settings.issuers, identity_terms(settings, self._in_force.digest_key))
        connections = self._credentials.take(settings.connections, prepared.credentials)
        self._in_force.configure(settings, connections, digest)
        self._policy_file.suit(Fitness.of(settings), prepared.suited)
        changed = {
            "connections": _changed(_by_name(before), _by_name(settings)),
            "issuers": _changed(_by_issuer(before), _by_issuer(settings)),
        }
        _log.info("configuration taken over", extra={"configuration_digest": digest, **changed})
        self._told(connections)
        return True


def _by_name(settings: Settings) -> Mapping[str, object]:
    return {each.name: each for each in settings.connections}


def _by_issuer(settings: Settings) -> Mapping[str, object]:
    return {each.issuer: each for each in settings.issuers}


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """The names of those that came, went, or are otherwise."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
