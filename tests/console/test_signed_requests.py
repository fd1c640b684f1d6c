"""Requests that the provider wants signed: by which key, over what, and what is said where there is none."""

import base64
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from extproc.console.provider_file import ProviderFile
from extproc.console.request_signer import RequestSigner, SignerUnfit
from extproc.console.saml_metadata import MetadataInvalid
from extproc.console.saml_request import login_url, own_metadata
from extproc.edge.settings_console import ConsoleSettings, KeyPair
from tests.console.conftest import World
from tests.console.idp import NOW, Keys, metadata
from tests.console.live import write_pem

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
WANTED = 'WantAuthnRequestsSigned="true"'


def key_pair(folder: Path, keys: Keys, name: str = "sp") -> KeyPair:
    key, certificate = write_pem(folder, name, keys)
    return KeyPair(certificate, key)


@pytest.fixture
def signing(console_settings: ConsoleSettings, tmp_path: Path, stranger: Keys, idp_keys: Keys) -> ConsoleSettings:
    """A provider that wants signed requests, and a key that signs them."""
    console_settings.saml.metadata.write_bytes(metadata(idp_keys, extra=WANTED))
    return replace(console_settings, saml=replace(console_settings.saml, signing=key_pair(tmp_path, stranger)))


def asked(settings: ConsoleSettings) -> tuple[bytes, str, bytes]:
    """What was signed, by which algorithm, and the signature."""
    assert settings.saml.signing is not None
    signer, provider = RequestSigner.load(settings.saml.signing), ProviderFile(settings.saml, NOW).current(NOW)
    query = urlsplit(login_url(provider, settings, signer, "_r", NOW)).query
    assert [each.partition("=")[0] for each in query.split("&")] == ["SAMLRequest", "SigAlg", "Signature"]
    fields = parse_qs(query)
    return query.partition("&Signature=")[0].encode(), fields["SigAlg"][0], base64.b64decode(fields["Signature"][0])


def test_a_request_is_signed_over_the_query_as_it_is_sent(signing: ConsoleSettings, stranger: Keys) -> None:
    signed, algorithm, signature = asked(signing)
    assert algorithm == MORE + "ecdsa-sha256"
    half = len(signature) // 2
    numbers = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
    stranger.private.public_key().verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))


def test_an_rsa_key_signs_with_sha256(signing: ConsoleSettings, tmp_path: Path) -> None:
    keys = Keys.make()
    settings = replace(signing, saml=replace(signing.saml, signing=key_pair(tmp_path, keys)))
    signed, algorithm, signature = asked(settings)
    assert algorithm == MORE + "rsa-sha256"
    keys.private.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(("curve", "name", "size"), [(ec.SECP384R1(), "sha384", 96), (ec.SECP521R1(), "sha512", 132)])
def test_a_longer_curve_signs_with_a_longer_digest(
    signing: ConsoleSettings, tmp_path: Path, curve: ec.EllipticCurve, name: str, size: int
) -> None:
    keys = Keys.make(ec.generate_private_key(curve))
    settings = replace(signing, saml=replace(signing.saml, signing=key_pair(tmp_path, keys)))
    _, algorithm, signature = asked(settings)
    assert (algorithm, len(signature)) == (MORE + f"ecdsa-{name}", size)


def test_our_metadata_says_that_requests_are_signed_and_by_whom(signing: ConsoleSettings, stranger: Keys) -> None:
    assert signing.saml.signing is not None
    role = etree.fromstring(own_metadata(signing, RequestSigner.load(signing.saml.signing)))[0]
    assert role.get("AuthnRequestsSigned") == "true"
    descriptor = role[0]
    assert (etree.QName(descriptor).localname, descriptor.get("use")) == ("KeyDescriptor", "signing")
    shown = descriptor.findtext("{*}KeyInfo/{*}X509Data/{*}X509Certificate")
    assert x509.load_der_x509_certificate(base64.b64decode(shown or "")) == stranger.certificate


async def test_a_browser_is_sent_with_a_signed_request(world: World, signing: ConsoleSettings) -> None:
    assert signing.saml.signing is not None
    world.parts = replace(world.parts, settings=signing, signer=RequestSigner.load(signing.saml.signing))
    async with world.browser() as browser:
        assert "&Signature=" in (await browser.get("/saml/login")).headers["location"]
        assert b'AuthnRequestsSigned="true"' in (await browser.get("/saml/metadata")).content


def test_a_provider_that_wants_signed_requests_is_not_used_without_a_key(signing: ConsoleSettings) -> None:
    assert ProviderFile(signing.saml, NOW).current(NOW).wants_signed_requests
    with pytest.raises(MetadataInvalid, match="give `console"):
        ProviderFile(replace(signing.saml, signing=None), NOW)


def test_a_key_that_cannot_sign_is_told_and_not_shown(tmp_path: Path, idp_keys: Keys, stranger: Keys) -> None:
    ours, others = key_pair(tmp_path, stranger), key_pair(tmp_path, idp_keys, "other")
    weak = Keys.make(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    (tmp_path / "broken").write_text("-----BEGIN PRIVATE KEY-----\nsecret\n")
    cases = {
        "another key's": KeyPair(others.certificate, ours.key),
        "2048 bits or more": key_pair(tmp_path, weak, "weak"),
        "no PEM file of a private key": KeyPair(ours.certificate, tmp_path / "broken"),
        "the certificate is no PEM": KeyPair(ours.key, ours.key),
        "the key: the file cannot be read: no such file": KeyPair(ours.certificate, tmp_path / "nothing"),
    }
    for text, files in cases.items():
        with pytest.raises(SignerUnfit, match=text) as unfit:
            RequestSigner.load(files)
        assert "secret" not in str(unfit.value)
    assert "PRIVATE" not in repr(RequestSigner.load(ours))
