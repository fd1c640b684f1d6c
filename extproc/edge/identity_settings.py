"""The `identity` part of a configuration: what a schema cannot say of it, and its values as issuers and terms."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from extproc.core.document import Path as Place
from extproc.core.document import Report, quoted
from extproc.core.dpop import DpopTerms
from extproc.core.issuer import KEY_TYPES, ClaimPaths, Issuer, IssuerKind, ServiceAccounts, is_trustworthy_url
from extproc.core.schema import nearest
from extproc.core.units import parse_duration

MAX_LEEWAY_SECONDS = 300
"""Beyond that it is not the clocks."""
MAX_PROOF_AGE_SECONDS = 600
"""So long each proof is remembered, so that it is accepted once."""
ISSUER_FILES = ("jwks_file", "ca_file", "token_file")
_NOT_FOR_KUBERNETES = ("service_accounts", "mfa", "groups_overage")

Values = Mapping[str, Any]


def check_identity(report: Report) -> None:
    """Add a problem for everything that is well formed and cannot work, or would guard less than it says."""
    for issuer in report.items(("identity", "issuers")):
        _check_issuer(report, issuer)
    if report.sound(("identity", "spiffe")) and ("listener", "tls", "client_ca") not in report.places:
        report.add(
            ("identity", "spiffe"),
            "needs `listener.tls.client_ca`",
            "without it nobody has checked the certificate that holds the id",
        )
    for url in report.items(("identity", "dpop", "external_urls")):
        text = report.sound(url)
        if text is not None and not _is_external_url(text):
            report.add(url, "must be `https://host` or `http://host`, with a path at most")
    place = ("identity", "dpop", "max_age")
    age = _seconds(report, place)
    if age is not None and not (1 <= age <= MAX_PROOF_AGE_SECONDS and age == int(age)):
        report.add(place, f"must be whole seconds, at least 1s and at most {MAX_PROOF_AGE_SECONDS}s")


def build_issuer(values: Values, files: dict[str, str]) -> Issuer:
    """`values` have passed the schema and every check; `files` are those of `ISSUER_FILES` that are given, absolute."""
    claims = {key: tuple(path) for key, path in values.get("claims", {}).items()}
    for key in claims.keys() & {"groups", "aliases"}:
        claims[key] = _paths(values["claims"][key])
    given: dict[str, Any] = {key: values[key] for key in ("discovery", "jwks_url", "groups_overage") if key in values}
    for key in ("leeway", "max_key_age", "refresh"):
        if key in values:
            given[f"{key}_seconds"] = int(parse_duration(values[key]))
    for key, name in (("methods", "mfa_methods"), ("classes", "mfa_classes")):
        if key in values.get("mfa", {}):
            given[name] = frozenset(values["mfa"][key])
    programs = values.get("service_accounts", {})
    return Issuer(
        issuer=values["issuer"],
        audiences=tuple(values["audiences"]),
        algorithms=tuple(values["algorithms"]),
        claims=ClaimPaths(**claims),
        kind=IssuerKind(values.get("kind", "oidc")),
        token_types=tuple(values.get("token_types", ())),
        authorized_parties=tuple(values.get("authorized_parties", ())),
        service_accounts=ServiceAccounts(tuple(programs.get("claim", ())), tuple(programs.get("values", ()))),
        **(given | files),
    )


def build_dpop(values: Values) -> DpopTerms:
    """Of `identity.dpop`, but for the key of its nonces: that is made of the digest key."""
    age = parse_duration(values["max_age"]) if "max_age" in values else DpopTerms().max_age_seconds
    return DpopTerms(external_urls=tuple(values.get("external_urls", ())), max_age_seconds=int(age))


def _paths(groups: list[Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path) for path in groups) if isinstance(groups[0], list) else (tuple(groups),)


def _check_issuer(report: Report, issuer: Place) -> None:
    name = report.sound((*issuer, "issuer"))
    if name is not None and "|" in name:
        report.add((*issuer, "issuer"), "must not hold `|`", "it stands between issuer and subject in a principal's id")
    for item in report.items((*issuer, "algorithms")):
        algorithm = report.sound(item)
        if algorithm is not None and algorithm not in KEY_TYPES:
            report.add(item, f"{quoted(algorithm)} is not an asymmetric signature", nearest(algorithm, KEY_TYPES))
    _check_key_source(report, issuer, name)
    _check_times(report, issuer)
    groups = report.sound((*issuer, "claims", "groups"))
    if groups is not None and len({type(path) for path in groups}) > 1:
        report.add(
            (*issuer, "claims", "groups"),
            "mixes names and paths",
            "write one path as `[a, b]`, and several as `[[a], [b, c]]`",
        )
    if report.sound((*issuer, "kind")) == IssuerKind.KUBERNETES:
        for key in (*_NOT_FOR_KUBERNETES, "authorized_parties"):
            if (*issuer, key) in report.places:
                report.add((*issuer, key), "means nothing for `kind: kubernetes`", "its tokens have no such claims")
        for key in ("subject", "name", "groups"):
            if (*issuer, "claims", key) in report.places:
                report.add((*issuer, "claims", key), "means nothing for `kind: kubernetes`", "these are fixed")


def _check_times(report: Report, issuer: Place) -> None:
    leeway, age, refresh = (_seconds(report, (*issuer, key)) for key in ("leeway", "max_key_age", "refresh"))
    if leeway is not None and leeway > MAX_LEEWAY_SECONDS:
        report.add((*issuer, "leeway"), f"must be at most {MAX_LEEWAY_SECONDS}s")
    for key, value in (("leeway", leeway), ("max_key_age", age), ("refresh", refresh)):
        if value is not None and value != int(value):
            report.add((*issuer, key), "must be whole seconds")
    if age is not None and refresh is not None and age < refresh:
        report.add(
            (*issuer, "max_key_age"), "is shorter than `refresh`", "keys would expire before they are fetched again"
        )


def _check_key_source(report: Report, issuer: Place, name: str | None) -> None:
    sources = ("discovery", "jwks_url", "jwks_file")
    given = [key for key in sources if (*issuer, key) in report.places]
    discovery = report.sound((*issuer, "discovery"))
    if discovery is False:
        given.remove("discovery")
    if len(given) != 1:
        found = ", ".join(f"`{key}`" for key in given) or "none"
        report.add(issuer, f"needs exactly one of `discovery`, `jwks_url` and `jwks_file`, has {found}")
    if given == ["jwks_file"]:
        for key in ("ca_file", "token_file"):
            if (*issuer, key) in report.places:
                report.add((*issuer, key), "means nothing beside `jwks_file`", "nothing is fetched")
    hint = "keys from elsewhere could be anybody's"
    if discovery and name is not None and not is_trustworthy_url(name):
        report.add((*issuer, "issuer"), "is neither https nor on loopback, as discovery needs it", hint)
    url = report.sound((*issuer, "jwks_url"))
    if url is not None and not is_trustworthy_url(url):
        report.add((*issuer, "jwks_url"), "is neither https nor on loopback", hint)


def _is_external_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and not parts.query and not parts.fragment
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None


def _seconds(report: Report, place: Place) -> float | None:
    text = report.sound(place)
    return None if text is None else parse_duration(text)
