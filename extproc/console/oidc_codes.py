"""Why a login by OpenID Connect is refused: a closed list, each with the sentence that the person is told."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OidcCode(StrEnum):
    """What is wrong. The value is what the record says."""

    WRONG_STATE = "wrong_state"
    STATE_USED = "state_used"
    MALFORMED_ANSWER = "malformed_answer"
    OTHER_ISSUER = "other_issuer"
    PROVIDER_REFUSED = "provider_refused"
    CODE_REFUSED = "code_refused"
    CLIENT_REFUSED = "client_refused"
    NO_ID_TOKEN = "no_id_token"  # noqa: S105 - no secret
    TOKEN_INVALID = "id_token_invalid"  # noqa: S105
    TOKEN_EXPIRED = "id_token_expired"  # noqa: S105
    WRONG_NONCE = "wrong_nonce"
    WRONG_AUDIENCE = "wrong_audience"
    TOO_OLD = "id_token_too_old"
    NOT_FRESH = "not_fresh"
    NO_PERSON = "no_person"
    GROUPS_UNKNOWN = "groups_unknown"
    CARD_DATA = "card_data"


OIDC_SENTENCES: Final[Mapping[OidcCode, str]] = {
    OidcCode.WRONG_STATE: "It does not answer a login that this browser began: begin again.",
    OidcCode.STATE_USED: "This login was answered already: begin again.",
    OidcCode.MALFORMED_ANSWER: "The provider's answer is not what OpenID Connect prescribes.",
    OidcCode.OTHER_ISSUER: "Another provider answered than the one that was asked.",
    OidcCode.PROVIDER_REFUSED: "The provider says that the login did not succeed.",
    OidcCode.CODE_REFUSED: "The provider does not take its code back: begin again.",
    OidcCode.CLIENT_REFUSED: "The provider does not know this console: compare `client_id` and the client's secret.",
    OidcCode.NO_ID_TOKEN: "The provider sent no id_token: is `openid` among the scopes?",
    OidcCode.TOKEN_INVALID: "The id_token does not hold under the issuer's keys, algorithms and times.",
    OidcCode.TOKEN_EXPIRED: "The id_token is over already: compare the clocks.",
    OidcCode.WRONG_NONCE: "The id_token was made for another login: begin again.",
    OidcCode.WRONG_AUDIENCE: "The id_token was made for another client.",
    OidcCode.TOO_OLD: "The id_token was not made for this login: compare the clocks.",
    OidcCode.NOT_FRESH: "The session was over, and the provider did not ask who you are: log out there first.",
    OidcCode.NO_PERSON: "The id_token does not speak of a person.",
    OidcCode.GROUPS_UNKNOWN: "The provider leaves the groups out because there are too many: have it send fewer.",
    OidcCode.CARD_DATA: "It names a person, group or tenant by what looks like a card number.",
}


class OidcRefused(Exception):
    """A login is refused. Holds nothing that the provider or the browser said."""

    def __init__(self, code: OidcCode) -> None:
        super().__init__(OIDC_SENTENCES[code])
        self.code = code
        self.sentence = OIDC_SENTENCES[code]
