"""Planted bugs: who is believed to be who."""

from tests.plants.plant import Plant

IDENTITY = "tests/core/test_identity.py::"
AUTHENTICATOR = "tests/edge/identity/test_authenticator.py::"
KEY_SETS = "tests/edge/identity/test_jwks.py::"


PLANTS = (
    Plant(
        "a sign-in in the future is recent enough for any bound",
        "core/identity.py",
        '"iat", "auth_time"',
        '"iat"',
        IDENTITY + "test_a_signed_token_with_wrong_claims_is_invalid",
    ),
    Plant(
        "p3: an expired token passes",
        "core/identity.py",
        'if seconds(payload.get("exp")) <= now_unix - issuer.leeway_seconds:',
        "if False:",
        IDENTITY + "test_times_end_exactly_at_the_leeway",
    ),
    Plant(
        "p3: a token for another audience passes",
        "core/identity.py",
        '"verify_aud": True',
        '"verify_aud": False',
        IDENTITY + "test_a_signed_token_with_wrong_claims_is_invalid",
    ),
    Plant(
        "p3: an algorithm that is not configured verifies",
        "core/identity.py",
        "if key.algorithm_name not in issuer.algorithms:  # 2",
        "if False:  # 2",
        IDENTITY + "test_a_key_outside_the_configuration_verifies_nothing",
    ),
    Plant(
        "p3: a remembered token outlives its expiry",
        "edge/authenticator.py",
        "return self._clock() < found.vouched.principal.expires_at",
        "return True",
        AUTHENTICATOR + "test_a_cached_token_ends_when_it_expires",
    ),
    Plant(
        "p3: a remembered token outlives its key",
        "edge/authenticator.py",
        "if found.keys.key_set is not found.key_set or not found.keys.usable():",
        "if not found.keys.usable():",
        AUTHENTICATOR + "test_a_withdrawn_key_ends_the_tokens_it_signed_though_they_are_cached",
    ),
    Plant(
        "p6: invented key ids become load on the issuer",
        "edge/keys.py",
        "if 0 <= now - self._refetched_at < REFETCH_SECONDS:",
        "if False:",
        AUTHENTICATOR + "test_invented_kids_cause_one_fetch_in_the_interval",
    ),
    Plant(
        "p6: tokens of new keys are refused when keys rotate twice",
        "edge/keys.py",
        "self._refetched_at = -math.inf  # it has rotated",
        "pass  # it has rotated",
        AUTHENTICATOR + "test_a_rotation_that_was_found_does_not_use_up_the_limit",
    ),
    Plant(
        "p3: known keys serve for ever while their issuer is away",
        "edge/keys.py",
        "return self.key_set is not None and self.age_seconds() <= self.issuer.max_key_age_seconds",
        "return self.key_set is not None",
        AUTHENTICATOR + "test_known_keys_serve_through_an_outage_until_their_stated_age",
    ),
    Plant(
        "p3: a Keycloak ID token passes as an access token",
        "core/claims.py",
        'if str(values.get("typ", "")).lower() in NO_ACCESS:',
        "if False:",
        "tests/core/test_claims.py::test_what_keycloak_calls_another_kind_of_token_is_none_for_us",
    ),
    Plant(
        "p3: a private key that was published verifies tokens",
        "edge/jwks.py",
        'if "d" in jwk or "k" in jwk or',
        "if",
        KEY_SETS + "test_a_private_key_that_was_published_is_passed_over",
    ),
    Plant(
        "identity explain: a card number names somebody",
        "cli/identity.py",
        "    if names_card_data(vouched.principal, mask):\n",
        "    if vouched is None:\n",
        "tests/edge/identity/test_identity_command.py"
        "::test_a_token_that_names_somebody_by_a_card_number_is_refused_as_the_service_does",
    ),
    Plant(
        "identity explain: a refused token's claims are printed as they are",
        "cli/identity.py",
        "[mask(doubt) for doubt in doubts or (last,)]",
        "list(doubts or (last,))",
        "tests/edge/identity/test_identity_command.py::test_a_card_number_in_any_other_claim_is_not_printed",
    ),
)
