"""Signed requests for a login (SAML bindings 2.0 §3.4.4.1), by a key and certificate of the configuration."""

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from extproc.console.saml_metadata import MAX_RSA_BITS, MIN_RSA_BITS
from extproc.edge.bounded_file import read_bounded, read_failure
from extproc.edge.settings_console import KeyPair

_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_HASHES: Final = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}


class SignerUnfit(Exception):
    """The key cannot sign requests. The text says why, and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class RequestSigner:
    """One key, and the certificate that our metadata shows."""

    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate = field(repr=False)

    @classmethod
    def load(cls, files: KeyPair) -> Self:
        """From PEM files that belong together. Raises `SignerUnfit`."""
        private, certificate = _read_key(files.key), _read_certificate(files.certificate)
        if private.public_key() != certificate.public_key():
            raise SignerUnfit("the certificate is another key's")
        match private:
            case rsa.RSAPrivateKey() if MIN_RSA_BITS <= private.key_size <= MAX_RSA_BITS:
                return cls(private, certificate)
            case ec.EllipticCurvePrivateKey() if private.curve.name in _HASHES:
                return cls(private, certificate)
        raise SignerUnfit(f"the key is neither RSA of {MIN_RSA_BITS} bits or more nor ECDSA on a NIST curve")

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def sign(self, fields: dict[str, str]) -> dict[str, str]:
        """`fields` of the query, in the order that the binding prescribes, with `SigAlg` and `Signature` behind them.

        What is signed is the query as it is sent, up to the signature.
        """
        signed = fields | {"SigAlg": self._algorithm}
        return signed | {"Signature": b64encode(self._signature(urlencode(signed).encode("ascii"))).decode()}

    @property
    def _algorithm(self) -> str:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return f"{_MORE}rsa-sha256"
        return f"{_MORE}ecdsa-{_HASHES[self.private.curve.name].name}"

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        # RFC 6931 §2.3.6: both numbers side by side, not in DER.
        size = (self.private.key_size + 7) // 8
        numbers = decode_dss_signature(self.private.sign(data, ec.ECDSA(_HASHES[self.private.curve.name])))
        return b"".join(number.to_bytes(size, "big") for number in numbers)


def _read_key(path: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(read_bounded(path), password=None)
    except OSError as error:
        raise SignerUnfit(f"the key: {read_failure(error)}") from None
    except (ValueError, TypeError):
        raise SignerUnfit("the key is no PEM file of a private key without a password") from None
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise SignerUnfit("the key is neither RSA nor ECDSA")


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(read_bounded(path))
    except OSError as error:
        raise SignerUnfit(f"the certificate: {read_failure(error)}") from None
    except ValueError:
        raise SignerUnfit("the certificate is no PEM file of one") from None
