"""The identity provider in force: its metadata file, read again when it changes, and what is wrong with it now."""

import logging
import os
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes

from extproc.console.saml_metadata import IdentityProvider, MetadataInvalid, parse_provider
from extproc.core.reasons import Reason, Unavailable
from extproc.edge.bounded_file import read_bounded, read_failure
from extproc.edge.settings_console import SamlSettings

_log = logging.getLogger("extproc.console")


class ProviderFile:
    """A file that changed is read again; an unfit one leaves the last good one. Times are Unix seconds."""

    def __init__(self, saml: SamlSettings, now: float) -> None:
        """Raises `MetadataInvalid` when there is no good one to begin with."""
        self._saml = saml
        self._seen = self._mark()
        self._provider = load_provider(saml, now)
        self._unfit = False
        self._told: set[bytes] = set()

    def current(self, now: float) -> IdentityProvider:
        """The one whose word counts. Raises `Unavailable(IDENTITY_UNAVAILABLE)` once it is past its `validUntil`."""
        self._look(now)
        if self._provider.valid_until <= now:
            raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
        return self._provider

    def trouble(self, now: float) -> str:
        """Why logins fail, or will: `expired`, `certificates_expired` or `unfit`; empty where nothing is wrong.

        `expired` is the file, `certificates_expired` means all of them, `unfit` that it changed and cannot be used.
        """
        self._look(now)
        if self._provider.valid_until <= now:
            return "expired"
        if all(each.not_valid_after_utc < _moment(now) for each in self._provider.certificates):
            return "certificates_expired"
        return "unfit" if self._unfit else ""

    def _look(self, now: float) -> None:
        mark = self._mark()
        if mark != self._seen:
            self._seen = mark
            try:
                self._provider, self._unfit, self._told = load_provider(self._saml, now), False, set()
                _log.warning("the identity provider's metadata was read again")
            except MetadataInvalid as error:
                self._unfit = True
                _log.error("the identity provider's metadata is not used (%s); the one before stays", error)
        self._tell_expired(now)

    def _tell_expired(self, now: float) -> None:
        """Once each: beside a new certificate the old one may go."""
        for each in self._provider.certificates:
            name = each.fingerprint(hashes.SHA256())
            if name not in self._told and each.not_valid_after_utc < _moment(now):
                self._told.add(name)
                over = {"sha256": name.hex(), "since": each.not_valid_after_utc.isoformat()}
                _log.warning("a signing certificate of the identity provider's metadata is over", extra=over)

    def _mark(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._saml.metadata)
        except OSError:
            return ()
        return status.st_ino, status.st_size, status.st_mtime_ns


def load_provider(saml: SamlSettings, now: float) -> IdentityProvider:
    """One that these settings can do with, now. Raises `MetadataInvalid`."""
    try:
        data = read_bounded(saml.metadata)
    except OSError as error:
        raise MetadataInvalid(read_failure(error)) from None
    provider = parse_provider(data)
    if provider.valid_until <= now:
        over = datetime.fromtimestamp(provider.valid_until, UTC).isoformat(sep=" ")
        raise MetadataInvalid(f"it is past its `validUntil` ({over}): download the provider's metadata again")
    if provider.wants_signed_requests and saml.signing is None:
        hint = "give `console.saml.signing: {certificate: FILE, key: FILE}`, and the provider our metadata"
        raise MetadataInvalid(f"the identity provider wants signed requests (WantAuthnRequestsSigned): {hint}")
    return provider


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
