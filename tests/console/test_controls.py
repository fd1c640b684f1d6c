"""What logins rest on: its failure and its return are one record each; metadata that is over lets nobody in."""

import os
from pathlib import Path

import httpx
import pytest

from extproc.console.controls import Controls, checks_of
from extproc.console.provider_file import ProviderFile
from extproc.console.saml_metadata import MetadataInvalid, parse_provider
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import Record, missing_fields
from extproc.edge.settings_console import SamlSettings
from tests.console.conftest import World
from tests.console.idp import NOW, SP, Keys, Spec, at, ec_keys, metadata
from tests.console.test_saml_login import ask


class Looked:
    """The controls of a console, and what they said."""

    def __init__(self, world: World) -> None:
        self.records: list[Record] = []
        self.broken = False
        self.world = world
        self.failing: dict[str, bool] = {}
        self.controls = Controls(checks_of(world.parts), self.append, self)

    def control_failure(self, control: str, *, failing: bool) -> None:
        self.failing[control] = failing

    def append(self, record: Record) -> None:
        if self.broken:
            raise Unavailable(Reason.AUDIT_UNAVAILABLE)
        assert not missing_fields(record)
        self.records.append(record)

    async def look(self) -> list[tuple[str, ...]]:
        """What was said by looking twice."""
        self.records.clear()
        for _ in range(2):
            await self.controls.look(self.world.now[0])
        return [(each.event_code, *(str(word) for word in each.detail.values())) for each in self.records]


@pytest.fixture
def looked(world: World) -> Looked:
    return Looked(world)


def put(path: Path, data: bytes) -> None:
    """As a person, or Kubernetes, replaces a file."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    os.replace(new, path)


async def test_metadata_that_breaks_and_is_mended_is_recorded_once_each(world: World, looked: Looked) -> None:
    path = world.parts.settings.saml.metadata
    assert await looked.look() == []
    put(path, b"<broken")
    assert await looked.look() == [("control.failure", "saml-metadata", "unfit")]
    assert looked.failing == {"saml-metadata": True}
    put(path, metadata(world.keys))
    assert await looked.look() == [("control.restored", "saml-metadata")]
    assert looked.failing == {"saml-metadata": False}


async def test_an_approval_store_that_is_away_and_back_is_recorded_once_each(
    tmp_path: Path, looked: Looked, world: World
) -> None:
    (tmp_path / "approvals.db").rename(tmp_path / "away.db")
    assert await looked.look() == [("control.failure", "approval-store", "away")]
    (tmp_path / "away.db").rename(tmp_path / "approvals.db")
    assert await looked.look() == [("control.restored", "approval-store")]


async def test_token_keys_that_cannot_sign_are_recorded(world: World, looked: Looked) -> None:
    (file,) = world.parts.settings.keys.glob("token-*.pem")
    file.rename(file.with_suffix(".away"))
    assert await looked.look() == [("control.failure", "token-keys", "unfit")]


async def test_what_could_not_be_recorded_is_recorded_later(world: World, looked: Looked) -> None:
    put(world.parts.settings.saml.metadata, b"<broken")
    looked.broken = True
    assert await looked.look() == []
    looked.broken = False
    assert await looked.look() == [("control.failure", "saml-metadata", "unfit")]


def with_end(keys: Keys, seconds: float) -> bytes:
    return metadata(keys, extra=f'validUntil="{at(seconds)}"')


async def test_metadata_past_its_end_lets_nobody_in_and_is_a_control_failure(
    world: World, looked: Looked, browser: httpx.AsyncClient
) -> None:
    path = world.parts.settings.saml.metadata
    put(path, with_end(world.keys, 100))
    spec = Spec(in_response_to=await ask(browser))
    assert await looked.look() == []
    world.now[0] += 100
    assert (await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})).status_code == 503
    assert (await browser.get("/saml/login")).status_code == 503
    assert world.refusals == ["identity_unavailable"]
    assert await looked.look() == [("control.failure", "saml-metadata", "expired")]
    put(path, with_end(world.keys, 90))
    assert await looked.look() == []
    put(path, with_end(world.keys, 900))
    assert await looked.look() == [("control.restored", "saml-metadata")]
    assert (await browser.post("/saml/acs", data={"SAMLResponse": world.answer(spec)})).status_code == 303


AROUND = (
    '<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" validUntil="%s">%s</md:EntitiesDescriptor>'
)


def test_the_earliest_end_counts_wherever_it_stands(idp_keys: Keys, tmp_path: Path) -> None:
    inner = with_end(idp_keys, 500).partition(b"-->")[2].decode()
    for said, until in ((at(100), 100), (at(900), 500), ("2026-09-21T15:40:00.000+02:00", -2000)):
        assert parse_provider((AROUND % (said, inner)).encode()).valid_until == NOW + until
    with pytest.raises(MetadataInvalid, match="its `validUntil` is no time"):
        parse_provider(metadata(idp_keys, extra='validUntil="soon"'))
    path = tmp_path / "over.xml"
    path.write_bytes(with_end(idp_keys, 0))
    with pytest.raises(MetadataInvalid, match=r"past its .* download the provider's metadata again"):
        ProviderFile(SamlSettings(path, SP), NOW)


def test_a_certificate_that_is_over_is_told_once_and_all_of_them_are_trouble(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, old, new = tmp_path / "idp.xml", Keys.make(ec_keys().private, end=100), Keys.make(ec_keys().private, end=200)
    path.write_bytes(metadata(old, new))
    provider = ProviderFile(SamlSettings(path, SP), NOW)
    assert (provider.trouble(NOW), caplog.text) == ("", "")
    assert [provider.trouble(NOW + 101) for _ in range(3)] == ["", "", ""]
    assert caplog.text.count("a signing certificate of the identity provider's metadata is over") == 1
    assert provider.trouble(NOW + 201) == "certificates_expired"
    assert caplog.text.count("a signing certificate of the identity provider's metadata is over") == 2
