"""The identity provider's file: one provider, keys that are strong enough, read again when it changes; and our own."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from extproc.console.provider_file import ProviderFile
from extproc.console.saml_metadata import MAX_CERTIFICATES, MetadataInvalid, parse_provider
from extproc.console.saml_request import own_metadata
from extproc.edge.settings_console import ConsoleSettings, SamlSettings
from tests.console.idp import ACS, IDP, NOW, SP, Keys, metadata


def test_one_provider_with_all_its_certificates(idp_keys: Keys, stranger: Keys) -> None:
    provider = parse_provider(metadata(idp_keys, stranger))
    assert (provider.entity_id, provider.login_url) == (IDP, f"{IDP}/login")
    assert provider.certificates == (idp_keys.certificate, stranger.certificate)


def test_a_federation_s_file_with_one_provider_will_do(idp_keys: Keys) -> None:
    one = metadata(idp_keys).partition(b"-->")[2]
    around = b'<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">%s</md:EntitiesDescriptor>'
    assert parse_provider(around % one).entity_id == IDP
    with pytest.raises(MetadataInvalid, match="describes 2 SAML"):
        parse_provider(around % (one + one))


def test_a_certificate_for_encryption_signs_nothing(idp_keys: Keys) -> None:
    with pytest.raises(MetadataInvalid, match="has no signing certificate"):
        parse_provider(metadata(idp_keys).replace(b'use="signing"', b'use="encryption"'))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not well-formed"),
        (b'<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>', "without a DTD"),
        (b"<r/>", "describes 0 SAML"),
        (metadata(), "has no signing certificate .* download its metadata again"),
        (metadata(entity_id="a|b"), "no usable `entityID`"),
        (metadata(login="http://idp.example.org/login"), "no https SingleSignOnService"),
        (metadata(login="javascript:alert(1)"), "no https SingleSignOnService"),
    ],
    ids=["nothing", "a DTD", "another file", "no key", "a bar", "plain http", "a script"],
)
def test_what_is_no_metadata_is_told(data: bytes, text: str) -> None:
    with pytest.raises(MetadataInvalid, match=text):
        parse_provider(data)


def test_too_many_certificates_are_not_tried(idp_keys: Keys) -> None:
    with pytest.raises(MetadataInvalid, match="17 signing certificates"):
        parse_provider(metadata(*[idp_keys] * (MAX_CERTIFICATES + 1)))


@pytest.mark.parametrize("kind", ["short", "odd curve"])
def test_a_weak_key_is_refused(kind: str) -> None:
    weak: object = ec.generate_private_key(ec.SECP224R1())
    if kind == "short":
        weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(MetadataInvalid, match="2048 bits or more"):
        parse_provider(metadata(Keys.make(weak)))


def test_a_file_that_changed_is_read_again_and_a_broken_one_is_not_used(
    tmp_path: Path, idp_keys: Keys, stranger: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "idp.xml"

    def put(data: bytes) -> None:
        """As a person, or Kubernetes, replaces a file."""
        (tmp_path / "new").write_bytes(data)
        os.replace(tmp_path / "new", path)

    put(metadata(idp_keys))
    provider = ProviderFile(SamlSettings(path, SP), NOW)
    put(metadata(stranger))
    assert provider.current(NOW).certificates == (stranger.certificate,)
    for broken in (b"<broken", b""):
        put(broken)
        assert provider.current(NOW).certificates == (stranger.certificate,)
    path.unlink()
    assert provider.current(NOW).certificates == (stranger.certificate,)
    assert "the one before stays" in caplog.text
    put(metadata(idp_keys))
    assert provider.current(NOW).certificates == (idp_keys.certificate,)
    put(b"<broken")
    with pytest.raises(MetadataInvalid):
        ProviderFile(SamlSettings(path, SP), NOW)


def test_our_own_metadata_says_where_to_post_and_that_assertions_are_signed(console_settings: ConsoleSettings) -> None:
    root = etree.fromstring(own_metadata(console_settings, None))
    role = root[0]
    assert root.get("entityID") == SP
    assert (role.get("WantAssertionsSigned"), role.get("AuthnRequestsSigned")) == ("true", "false")
    assert role[0].get("Location") == ACS
