"""What is not a provider's own, fresh word for us is refused with its reason, and nothing is believed of it."""

import copy
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from extproc.console.saml_assertion import Expected
from extproc.console.saml_codes import SENTENCES, SamlCode, SamlRefused
from extproc.console.saml_metadata import parse_provider
from extproc.console.saml_response import assertion_of_response
from extproc.console.verify import Accepted, Verifier
from extproc.console.xml_document import MAX_ELEMENTS, MAX_XML_BYTES
from extproc.edge.settings_console import SamlAttributes, SamlSettings
from tests.console.idp import (
    ACS,
    CONSOLE,
    DS,
    IDP,
    NOW,
    SP,
    Keys,
    Q,
    Spec,
    add,
    assertion,
    certificate_text,
    metadata,
    response,
    sign,
)
from tests.console.wrapping import WRAPPINGS

EXPECTED = Expected(IDP, SP, ACS, frozenset({"_request"}), skew_seconds=60)
SETTINGS = SamlSettings(Path("idp.xml"), SP, attributes=SamlAttributes(groups="groups"))


def verify(document: etree._Element | bytes, *keys: Keys, expected: Expected = EXPECTED) -> Accepted:
    data = document if isinstance(document, bytes) else etree.tostring(document)
    verifier = Verifier(parse_provider(metadata(*keys)), SETTINGS, CONSOLE)
    return verifier.verify(data, lambda root: assertion_of_response(root, ACS), expected, NOW)


def refusal(document: etree._Element | bytes, *keys: Keys, expected: Expected = EXPECTED) -> SamlCode:
    with pytest.raises(SamlRefused) as refused:
        verify(document, *keys, expected=expected)
    assert refused.value.__cause__ is None
    return refused.value.code


def good(keys: Keys, spec: Spec = Spec()) -> etree._Element:  # noqa: B008 - frozen
    return response(sign(assertion(spec), keys))


def test_a_good_response_names_the_person(idp_keys: Keys) -> None:
    accepted = verify(good(idp_keys), idp_keys)
    assert (accepted.person.issuer, accepted.person.subject) == (CONSOLE, "anna")
    assert accepted.person.groups == ("analysts", "staff")
    assert accepted.person.methods == ("pwd",)
    assert accepted.person.authenticated_at == NOW - 60
    assert accepted.remember_until == NOW + 300 + 60


# -- forged ------------------------------------------------------------------------------------------------------------


def test_an_unsigned_assertion_is_refused_also_in_a_signed_response(idp_keys: Keys) -> None:
    assert refusal(response(assertion(Spec())), idp_keys) is SamlCode.NOT_SIGNED
    signed_outside = sign(response(assertion(Spec())), idp_keys, reference="_r1")
    assert signed_outside.find(f"{{{DS}}}Signature") is not None
    assert refusal(signed_outside, idp_keys) is SamlCode.NOT_SIGNED


def test_a_key_that_the_signature_brings_along_counts_for_nothing(idp_keys: Keys, stranger: Keys) -> None:
    forged = good(stranger)
    assert certificate_text(stranger)[:60] in re.sub(r"\s", "", etree.tostring(forged).decode())
    assert refusal(forged, idp_keys) is SamlCode.SIGNATURE_INVALID


def test_a_changed_word_breaks_the_signature(idp_keys: Keys) -> None:
    changed = etree.tostring(good(idp_keys)).replace(b">anna<", b">admin<")
    assert refusal(changed, idp_keys) is SamlCode.SIGNATURE_INVALID


def test_any_of_several_certificates_will_do_while_one_is_rotated(idp_keys: Keys, stranger: Keys) -> None:
    rsa_keys = Keys.make()
    for signer in (idp_keys, rsa_keys):
        assert verify(good(signer), stranger, rsa_keys, idp_keys).person.subject == "anna"


@pytest.mark.parametrize("period", [(-100, -1), (1, 100)], ids=["over", "not begun"])
def test_a_certificate_out_of_its_time_signs_nothing(period: tuple[int, int]) -> None:
    keys = Keys.make(ec.generate_private_key(ec.SECP256R1()), *period)
    assert refusal(good(keys), keys) is SamlCode.SIGNATURE_INVALID


@pytest.mark.parametrize("wrap", WRAPPINGS, ids=[f"xsw{number}" for number in range(1, 9)])
def test_a_wrapped_assertion_is_refused(idp_keys: Keys, wrap: Callable[[etree._Element], etree._Element]) -> None:
    wrapped = wrap(good(idp_keys))
    assert b">admin<" in etree.tostring(wrapped)
    assert refusal(wrapped, idp_keys) in {
        SamlCode.NOT_ONE_ASSERTION, SamlCode.DUPLICATE_ID, SamlCode.SIGNATURE_SHAPE, SamlCode.NOT_SIGNED,
    }  # fmt: skip


def test_two_good_assertions_are_one_too_many(idp_keys: Keys) -> None:
    two = response(*(sign(assertion(Spec(assertion_id=name)), idp_keys) for name in ("_a1", "_a2")))
    assert refusal(two, idp_keys) is SamlCode.NOT_ONE_ASSERTION
    assert refusal(response(), idp_keys) is SamlCode.NOT_ONE_ASSERTION


def test_an_assertion_in_advice_is_refused(idp_keys: Keys) -> None:
    outer = assertion(Spec())
    add(outer, "Advice").append(assertion(Spec(assertion_id="_a2")))
    assert refusal(response(sign(outer, idp_keys)), idp_keys) is SamlCode.NOT_ONE_ASSERTION


def test_the_same_id_twice_is_refused_whatever_it_is_called(idp_keys: Keys) -> None:
    for name in ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id", "{urn:x}ID"):
        document = good(idp_keys)
        document.find(f"{Q}Issuer").set(name, "_a1")
        assert refusal(document, idp_keys) is SamlCode.DUPLICATE_ID


# -- the signature's own shape -----------------------------------------------------------------------------------------


def reshaped(keys: Keys, change: Callable[[etree._Element], None]) -> etree._Element:
    document = good(keys)
    change(document.find(f"{Q}Assertion/{{{DS}}}Signature"))
    return document


def in_signature(path: str) -> Callable[[etree._Element], etree._Element]:
    return lambda signature: signature.find("/".join(f"{{{DS}}}{name}" for name in path.split("/")))


REFERENCE = in_signature("SignedInfo/Reference")
TRANSFORMS = in_signature("SignedInfo/Reference/Transforms")


def _detached(signature: etree._Element) -> None:
    REFERENCE(signature).set("URI", "https://evil.example/other.xml")


def _elsewhere(signature: etree._Element) -> None:
    REFERENCE(signature).set("URI", "#_r1")


def _whole(signature: etree._Element) -> None:
    REFERENCE(signature).set("URI", "")


def _unnamed(signature: etree._Element) -> None:
    del REFERENCE(signature).attrib["URI"]


def _second_reference(signature: etree._Element) -> None:
    REFERENCE(signature).addnext(copy.deepcopy(REFERENCE(signature)))


def _xslt(signature: etree._Element) -> None:
    transform = etree.SubElement(TRANSFORMS(signature), f"{{{DS}}}Transform")
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")
    etree.SubElement(transform, "{http://www.w3.org/1999/XSL/Transform}stylesheet")


def _xpath(signature: etree._Element) -> None:
    transform = TRANSFORMS(signature)[0]
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
    etree.SubElement(transform, f"{{{DS}}}XPath").text = "not(ancestor-or-self::*[local-name()='NameID'])"


def _base64(signature: etree._Element) -> None:
    TRANSFORMS(signature)[1].set("Algorithm", "http://www.w3.org/2000/09/xmldsig#base64")


def _with_comments(signature: etree._Element) -> None:
    TRANSFORMS(signature)[1].set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments")


def _inclusive(signature: etree._Element) -> None:
    in_signature("SignedInfo/CanonicalizationMethod")(signature).set(
        "Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    )


def _transform_payload(signature: etree._Element) -> None:
    etree.SubElement(TRANSFORMS(signature)[1], "{http://www.w3.org/1999/XSL/Transform}stylesheet")


def _no_transforms(signature: etree._Element) -> None:
    REFERENCE(signature).remove(TRANSFORMS(signature))


def _object(signature: etree._Element) -> None:
    etree.SubElement(signature, f"{{{DS}}}Object").text = "anything"


SHAPES = (
    _detached, _elsewhere, _whole, _unnamed, _second_reference, _xslt, _xpath, _base64, _with_comments, _inclusive,
    _transform_payload, _no_transforms, _object,
)  # fmt: skip


@pytest.mark.parametrize("change", SHAPES, ids=lambda change: change.__name__.strip("_"))
def test_a_signature_of_any_other_shape_is_refused(idp_keys: Keys, change: Callable[[etree._Element], None]) -> None:
    assert refusal(reshaped(idp_keys, change), idp_keys) is SamlCode.SIGNATURE_SHAPE


def test_two_signatures_are_refused(idp_keys: Keys) -> None:
    document = reshaped(idp_keys, lambda signature: signature.addnext(copy.deepcopy(signature)))
    assert refusal(document, idp_keys) is SamlCode.SIGNATURE_SHAPE


class _Lax(XMLSigner):
    """Signs with what signxml itself has given up."""

    def check_deprecated_methods(self) -> None:
        pass


@pytest.mark.parametrize("weak", ["signature", "digest"])
def test_sha1_is_refused(monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
    keys = Keys.make(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    monkeypatch.setattr("tests.console.idp.XMLSigner", _Lax)
    method = SignatureMethod.RSA_SHA1 if weak == "signature" else SignatureMethod.RSA_SHA256
    digest = DigestAlgorithm.SHA1 if weak == "digest" else DigestAlgorithm.SHA256
    document = response(sign(assertion(Spec()), keys, method=method, digest=digest))
    assert refusal(document, keys) is SamlCode.SIGNATURE_ALGORITHM


@pytest.mark.parametrize(
    "algorithm",
    ["none", "", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "http://www.w3.org/2009/xmldsig11#dsa-sha256"],
    ids=["none", "empty", "a shared secret", "dsa"],
)
def test_no_signature_and_shared_secrets_are_no_algorithms(idp_keys: Keys, algorithm: str) -> None:
    def change(signature: etree._Element) -> None:
        in_signature("SignedInfo/SignatureMethod")(signature).set("Algorithm", algorithm)

    assert refusal(reshaped(idp_keys, change), idp_keys) is SamlCode.SIGNATURE_ALGORITHM


def test_an_rsa_method_under_an_ecdsa_key_is_refused(idp_keys: Keys) -> None:
    def change(signature: etree._Element) -> None:
        in_signature("SignedInfo/SignatureMethod")(signature).set("Algorithm", SignatureMethod.RSA_SHA256.value)

    assert refusal(reshaped(idp_keys, change), idp_keys) is SamlCode.SIGNATURE_INVALID


# -- XML ---------------------------------------------------------------------------------------------------------------

BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><r>&b;</r>'
OUTSIDE = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>'


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (BOMB, SamlCode.FORBIDDEN_XML),
        (OUTSIDE, SamlCode.FORBIDDEN_XML),
        (b"<!DOCTYPE r><r/>", SamlCode.FORBIDDEN_XML),
        (b'<?xml-stylesheet href="https://evil.example/x.xsl"?><r/>', SamlCode.FORBIDDEN_XML),
        (b"<r><![CDATA[x]]></r>", SamlCode.FORBIDDEN_XML),
        (BOMB.decode().encode("utf-16"), SamlCode.NOT_XML),
        (b'<?xml version="1.0" encoding="UTF-7"?><r/>', SamlCode.FORBIDDEN_XML),
        (b"<r>&undeclared;</r>", SamlCode.NOT_XML),
        (b"<r>", SamlCode.NOT_XML),
        (b"", SamlCode.NOT_XML),
        (b"<r>" + b"x" * MAX_XML_BYTES + b"</r>", SamlCode.TOO_LARGE),
        (b"<r>" + b"<e/>" * MAX_ELEMENTS + b"</r>", SamlCode.TOO_LARGE),
        (b"<e>" * 10_000 + b"</e>" * 10_000, SamlCode.NOT_XML),
        (b"<e %s/>" % b" ".join(b'a%d=""' % n for n in range(65)), SamlCode.TOO_LARGE),
        (b"<e %s/>" % b" ".join(b'xmlns:a%d="a"' % n for n in range(2_049)), SamlCode.TOO_LARGE),
    ],
    ids=[
        "a bomb", "an outside entity", "a DTD", "a style sheet", "CDATA", "a bomb in UTF-16", "UTF-7",
        "an unknown entity", "half", "nothing", "huge", "many elements", "deep", "many attributes", "many namespaces",
    ],
)  # fmt: skip
def test_what_parsers_disagree_about_is_not_parsed(idp_keys: Keys, document: bytes, code: SamlCode) -> None:
    assert refusal(document, idp_keys) is code


def test_the_worst_document_takes_about_twice_as_long_when_it_is_twice_as_large(idp_keys: Keys) -> None:
    """Before a signature holds, anybody's document is read: no size of it makes the time grow faster than it."""

    def seconds(values: int) -> float:
        document = good(idp_keys)
        statement = document.find(f"{Q}Assertion/{Q}AttributeStatement")
        for number in range(values):
            add(add(statement, "Attribute", Name="x"), "AttributeValue", Extra=str(number)).text = "y"
        data = etree.tostring(document)
        taken = []
        for _ in range(3):
            begun = time.process_time()
            refusal(data, idp_keys)
            taken.append(time.process_time() - begun)
        return min(taken)

    assert seconds(2_000) < 8 * seconds(500)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_is_damaged_anywhere_is_refused_or_says_the_same(data: st.DataObject, idp_keys: Keys) -> None:
    """No other failure, and nobody else: bytes changed, left out, or repeated elsewhere."""
    whole = etree.tostring(good(idp_keys))
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start, min(len(whole), start + 400)))
    middle = data.draw(st.binary(max_size=4) | st.just(whole[start:end]))
    elsewhere = data.draw(st.integers(0, len(whole)))
    damaged = data.draw(
        st.sampled_from([whole[:start] + middle + whole[end:], whole[:elsewhere] + middle + whole[elsewhere:]])
    )
    try:
        accepted = verify(damaged, idp_keys)
    except SamlRefused:
        return
    assert accepted.person == verify(whole, idp_keys).person


def test_a_comment_does_not_cut_a_name_short(idp_keys: Keys) -> None:
    """The classic: signed as `admin@example.org.evil.example`, read up to the comment. No comment is read at all."""
    document = etree.tostring(good(idp_keys, Spec(name_id="admin@example.org.evil.example")))
    cut = document.replace(b"admin@example.org.evil", b"admin@example.org<!---->.evil")
    assert cut != document
    assert refusal(cut, idp_keys) is SamlCode.FORBIDDEN_XML
    assert verify(document, idp_keys).person.subject == "admin@example.org.evil.example"


# -- not for us, not now -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (Spec(issuer="https://other.example"), SamlCode.WRONG_ISSUER),
        (Spec(audience="https://other.example"), SamlCode.WRONG_AUDIENCE),
        (Spec(audience=SP + "/"), SamlCode.WRONG_AUDIENCE),
        (Spec(audience=None), SamlCode.WRONG_AUDIENCE),
        (Spec(recipient=ACS + "/"), SamlCode.WRONG_RECIPIENT),
        (Spec().for_exchange().but(audience=SP), SamlCode.WRONG_RECIPIENT),
        (Spec(in_response_to="_other"), SamlCode.WRONG_REQUEST),
        (Spec(in_response_to=""), SamlCode.UNSOLICITED),
        (Spec(not_before=61), SamlCode.NOT_YET_VALID),
        (Spec(issued=61), SamlCode.NOT_YET_VALID),
        (Spec(authenticated=61), SamlCode.NOT_YET_VALID),
        (Spec(not_on_or_after=-60), SamlCode.EXPIRED),
        (Spec(confirmed_until=-60), SamlCode.EXPIRED),
        (Spec(confirmed_until=86401), SamlCode.VALID_TOO_LONG),
        (Spec(session_ends=0), SamlCode.SESSION_OVER),
        (Spec(name_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"), SamlCode.NO_SUBJECT),
        (Spec(name_id=""), SamlCode.MALFORMED),
        (Spec(name_id="an\u202ena"), SamlCode.MALFORMED),
        (Spec(name_id="4111111111111111"), SamlCode.CARD_DATA),
        (Spec(attributes={"groups": ("4111 1111 1111 1111",)}), SamlCode.CARD_DATA),
    ],
    ids=[
        "issuer", "audience", "almost the audience", "no audience", "recipient", "for the token endpoint", "request",
        "no request", "not yet", "issued later", "authenticated later", "over", "confirmation over", "too long",
        "session over", "a name for once", "no name", "a name that misleads", "a card number", "a card as group",
    ],
)  # fmt: skip
def test_a_good_signature_is_not_enough(idp_keys: Keys, spec: Spec, code: SamlCode) -> None:
    assert refusal(good(idp_keys, spec), idp_keys) is code


@pytest.mark.parametrize(
    "spec",
    [Spec(not_before=60), Spec(not_on_or_after=-59), Spec(confirmed_until=-59), Spec(issued=60)],
    ids=["begins", "ends", "confirmation ends", "issued"],
)
def test_clocks_may_differ_by_the_configured_skew(idp_keys: Keys, spec: Spec) -> None:
    assert verify(good(idp_keys, spec), idp_keys).person.subject == "anna"


def test_a_response_for_elsewhere_and_one_that_failed_are_refused(idp_keys: Keys) -> None:
    signed = sign(assertion(Spec()), idp_keys)
    elsewhere = response(copy.deepcopy(signed), destination="https://other.example/acs")
    assert refusal(elsewhere, idp_keys) is SamlCode.WRONG_RECIPIENT
    assert refusal(response(copy.deepcopy(signed), status="Responder"), idp_keys) is SamlCode.NOT_SUCCESSFUL
    assert refusal(signed, idp_keys) is SamlCode.NOT_A_RESPONSE


def test_an_encrypted_assertion_says_what_to_do(idp_keys: Keys) -> None:
    assert refusal(response(etree.Element(f"{Q}EncryptedAssertion")), idp_keys) is SamlCode.ENCRYPTED
    assert "turn encryption off" in SENTENCES[SamlCode.ENCRYPTED]


def test_every_code_has_a_sentence() -> None:
    assert set(SENTENCES) == set(SamlCode)


def changed(keys: Keys, change: Callable[[etree._Element], None], spec: Spec = Spec()) -> etree._Element:  # noqa: B008
    """Signed after the change: the provider itself says something that we do not know."""
    unsigned = assertion(spec)
    change(unsigned)
    return response(sign(unsigned, keys))


def _condition(root: etree._Element) -> None:
    add(root.find(f"{Q}Conditions"), "Condition")


def _bearer_from_later(root: etree._Element) -> None:
    root.find(f"{Q}Subject/{Q}SubjectConfirmation/{Q}SubjectConfirmationData").set("NotBefore", "2020-01-01T00:00:00Z")


def _two_subjects(root: etree._Element) -> None:
    root.find(f"{Q}Subject").addnext(copy.deepcopy(root.find(f"{Q}Subject")))


def _two_names(root: etree._Element) -> None:
    root.find(f"{Q}Subject/{Q}NameID").addnext(copy.deepcopy(root.find(f"{Q}Subject/{Q}NameID")))


def _authorization(root: etree._Element) -> None:
    add(root, "AuthzDecisionStatement")


def _two_logins(root: etree._Element) -> None:
    root.find(f"{Q}AuthnStatement").addnext(copy.deepcopy(root.find(f"{Q}AuthnStatement")))


def _no_login(root: etree._Element) -> None:
    root.remove(root.find(f"{Q}AuthnStatement"))


def _a_login_at_no_time(root: etree._Element) -> None:
    del root.find(f"{Q}AuthnStatement").attrib["AuthnInstant"]


def _a_login_in_no_way(root: etree._Element) -> None:
    statement = root.find(f"{Q}AuthnStatement")
    statement.remove(statement[0])


def _local_time(root: etree._Element) -> None:
    root.find(f"{Q}Conditions").set("NotOnOrAfter", "2030-01-01T00:00:00+02:00")


def _version_1(root: etree._Element) -> None:
    root.set("Version", "1.1")


def _name_in_pieces(root: etree._Element) -> None:
    name = root.find(f"{Q}Subject/{Q}NameID")
    name.text = "admin"
    add(name, "Part").tail = "istrator"


def _nested_group(root: etree._Element) -> None:
    add(root.find(f"{Q}AttributeStatement/{Q}Attribute")[0], "NameID").text = "staff"


STRANGE = (
    _condition, _bearer_from_later, _two_subjects, _two_names, _authorization, _two_logins, _no_login, _a_login_at_no_time, _a_login_in_no_way, _local_time, _version_1,
    _name_in_pieces, _nested_group,
)  # fmt: skip


@pytest.mark.parametrize("change", STRANGE, ids=lambda change: change.__name__.strip("_"))
def test_what_is_not_known_is_refused_and_not_passed_over(
    idp_keys: Keys, change: Callable[[etree._Element], None]
) -> None:
    assert refusal(changed(idp_keys, change), idp_keys) is SamlCode.MALFORMED


def test_a_confirmation_of_another_kind_confirms_nothing(idp_keys: Keys) -> None:
    def change(root: etree._Element) -> None:
        root.find(f"{Q}Subject/{Q}SubjectConfirmation").set("Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")

    assert refusal(changed(idp_keys, change), idp_keys) is SamlCode.WRONG_RECIPIENT


def test_every_restriction_of_audience_must_name_us(idp_keys: Keys) -> None:
    def change(root: etree._Element) -> None:
        add(add(root.find(f"{Q}Conditions"), "AudienceRestriction"), "Audience").text = "https://other.example"

    assert refusal(changed(idp_keys, change), idp_keys) is SamlCode.WRONG_AUDIENCE


def test_groups_that_stand_in_several_attributes_are_all_there(idp_keys: Keys) -> None:
    def change(root: etree._Element) -> None:
        more = add(root.find(f"{Q}AttributeStatement"), "Attribute", Name="groups")
        add(more, "AttributeValue").text = "oncall"

    assert verify(changed(idp_keys, change), idp_keys).person.groups == ("analysts", "staff", "oncall")


@pytest.mark.parametrize(
    ("context", "methods", "mfa"),
    [
        ("https://refeds.org/profile/mfa", ("mfa",), True),
        ("urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract", ("mfa",), True),
        ("urn:oasis:names:tc:SAML:2.0:ac:classes:Password", ("pwd",), False),
        ("urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified", (), False),
    ],
    ids=["refeds", "two factors", "a password", "not said"],
)
def test_the_way_of_the_login_is_told(idp_keys: Keys, context: str, methods: tuple[str, ...], mfa: bool) -> None:
    person = verify(good(idp_keys, Spec(context=context)), idp_keys).person
    assert (person.methods, person.mfa, person.context_class) == (methods, mfa, context)
