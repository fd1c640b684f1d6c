"""How keys are asked for: with an authority of the issuer's own, and with a token that goes nowhere else."""

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from extproc.core.issuer import Issuer
from extproc.core.reasons import Reason, Unavailable
from extproc.edge import keys as keys_module

ROOT = Path(__file__).parents[3]


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Self-signed, for `localhost`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / f"{name}.crt", folder / f"{name}.key"
    pem.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


@pytest.fixture
def secure(toy: Any, tmp_path: Path) -> Any:
    """The toy issuer behind TLS, under a certificate that only `ours.crt` vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path, "ours"))
    toy.wrap(context)
    make_certificate(tmp_path, "others")
    return toy


def issuer_of(toy: Any, ca_file: Path, **change: Any) -> Issuer:
    given = {"discovery": True, "ca_file": str(ca_file)} | change
    return Issuer(toy.url, ("extproc",), ("ES256",), **given)


async def test_only_the_authority_of_the_configuration_is_trusted(
    start: Any, secure: Any, key: Any, tmp_path: Path
) -> None:
    authenticator = start(issuer_of(secure, tmp_path / "ours.crt"))
    assert (await authenticator.verify(key.token(secure.url))).subject == "u-1"
    (tmp_path / "none.crt").write_text("no certificate")
    for other in ("others.crt", "none.crt", "absent.crt"):
        with pytest.raises(Unavailable) as raised:
            await start(issuer_of(secure, tmp_path / other)).verify(key.token(secure.url))
        assert raised.value.reason is Reason.IDENTITY_UNAVAILABLE
        assert raised.value.__context__ is None or isinstance(raised.value.__context__, Unavailable)


async def test_the_token_to_ask_with_is_read_anew_and_stays_with_the_issuer(
    start: Any, toy: Any, key: Any, tmp_path: Path
) -> None:
    """Also when the issuer's own discovery document names another place for the keys."""
    secret = tmp_path / "token"
    secret.write_text("first-token\n")
    asked = Issuer(toy.url, ("extproc",), ("ES256",), discovery=True, token_file=str(secret))
    authenticator = start(asked)
    await authenticator.verify(key.token(toy.url))
    assert toy.credentials == ["Bearer first-token", "Bearer first-token"]
    secret.write_text("second-token")
    fresh = key.another("k-2")
    toy.keys = [fresh.jwk()]
    toy.discovery = {"jwks_uri": toy.url.replace("127.0.0.1", "localhost") + "/jwks"}
    await authenticator.verify(fresh.token(toy.url))
    assert toy.credentials[2:] == ["Bearer second-token", None]


@pytest.mark.parametrize(
    "text", ["", "two words", "line\nfeed", "caf\u00e9", "x" * 20_000], ids=lambda text: repr(text[:9])
)
async def test_a_token_that_is_none_is_not_sent(start: Any, toy: Any, key: Any, tmp_path: Path, text: str) -> None:
    secret = tmp_path / "token"
    secret.write_text(text)
    with pytest.raises(Unavailable):
        await start(toy.issuer(token_file=str(secret))).verify(key.token(toy.url))
    assert toy.requests == []


async def test_without_a_file_no_credential_is_sent(start: Any, toy: Any, key: Any) -> None:
    await start(toy.issuer()).verify(key.token(toy.url))
    assert toy.credentials == [None]


def test_a_request_that_waits_for_keys_is_answered_before_envoy_gives_up() -> None:
    """503 with `retry-after`, and not Envoy's 504."""
    rendered = yaml.safe_load((ROOT / "envoy" / "local.yaml").read_text("utf-8"))
    filters = rendered["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"][
        "http_filters"
    ]
    (ours,) = [each["typed_config"] for each in filters if each["name"] == "envoy.filters.http.ext_proc"]
    assert float(ours["message_timeout"].removesuffix("s")) >= keys_module.WAIT_SECONDS + 1
