"""Why an assertion is refused: a closed list, each with the sentence that an administrator is told."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class SamlCode(StrEnum):
    """What is wrong. The value is what the record says."""

    NOT_XML = "not_xml"
    TOO_LARGE = "too_large"
    FORBIDDEN_XML = "forbidden_xml"
    NOT_A_RESPONSE = "not_a_response"
    NOT_SUCCESSFUL = "not_successful"
    NOT_ONE_ASSERTION = "not_one_assertion"
    ENCRYPTED = "encrypted"
    DUPLICATE_ID = "duplicate_id"
    NOT_SIGNED = "not_signed"
    SIGNATURE_SHAPE = "signature_shape"
    SIGNATURE_ALGORITHM = "signature_algorithm"
    SIGNATURE_INVALID = "signature_invalid"
    MALFORMED = "malformed"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_RECIPIENT = "wrong_recipient"
    WRONG_REQUEST = "wrong_request"
    UNSOLICITED = "unsolicited"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    VALID_TOO_LONG = "valid_too_long"
    SESSION_OVER = "session_over"
    NO_SUBJECT = "no_subject"
    CARD_DATA = "card_data"
    REPLAYED = "replayed"


SENTENCES: Final[Mapping[SamlCode, str]] = {
    SamlCode.NOT_XML: "It is not well-formed XML in UTF-8.",
    SamlCode.TOO_LARGE: "It is larger than an assertion may be.",
    SamlCode.FORBIDDEN_XML: "It holds a DTD, a comment, a CDATA section or a processing instruction.",
    SamlCode.NOT_A_RESPONSE: "It is not a SAML 2.0 response.",
    SamlCode.NOT_SUCCESSFUL: "The identity provider says that the login did not succeed.",
    SamlCode.NOT_ONE_ASSERTION: "It does not hold exactly one assertion in the place where one belongs.",
    SamlCode.ENCRYPTED: "The assertion is encrypted: turn encryption off at the identity provider; TLS covers the way.",
    SamlCode.DUPLICATE_ID: "Two of its elements have the same ID.",
    SamlCode.NOT_SIGNED: "The assertion is not signed: have the identity provider sign assertions, not only responses.",
    SamlCode.SIGNATURE_SHAPE: "The signature does not cover this assertion alone, in the way SAML prescribes.",
    SamlCode.SIGNATURE_ALGORITHM: "The signature is not RSA or ECDSA with SHA-256, SHA-384 or SHA-512.",
    SamlCode.SIGNATURE_INVALID: "The signature does not hold under any certificate of the configured metadata.",
    SamlCode.MALFORMED: "The assertion is not what SAML 2.0 prescribes.",
    SamlCode.WRONG_ISSUER: "It was issued by another identity provider.",
    SamlCode.WRONG_AUDIENCE: "It was issued for another audience.",
    SamlCode.WRONG_RECIPIENT: "It was issued to be delivered elsewhere.",
    SamlCode.WRONG_REQUEST: "It does not answer the request of this browser: begin the login again.",
    SamlCode.UNSOLICITED: "Nobody asked for it, and the configuration does not allow that: begin the login here.",
    SamlCode.NOT_YET_VALID: "It is not valid yet: compare the clocks.",
    SamlCode.EXPIRED: "It is not valid any more: begin again, or compare the clocks.",
    SamlCode.VALID_TOO_LONG: "It is valid for more than a day.",
    SamlCode.SESSION_OVER: "The session at the identity provider is over.",
    SamlCode.NO_SUBJECT: "It does not say, in one stable name, who this is.",
    SamlCode.CARD_DATA: "It names a person, group or tenant by what looks like a card number.",
    SamlCode.REPLAYED: "It was used already.",
}


class SamlRefused(Exception):
    """An assertion, or what carries it, is refused. Holds nothing of it."""

    def __init__(self, code: SamlCode) -> None:
        super().__init__(SENTENCES[code])
        self.code = code
        self.sentence = SENTENCES[code]
