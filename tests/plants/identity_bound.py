"""Planted bugs: what a token is bound to, whose it is, and what certificates say."""

from tests.plants.plant import Plant

DPOP = "tests/core/test_dpop.py::"
CLAIMS = "tests/core/test_claims.py::"
CONTROL = "tests/edge/identity/test_identity_control.py::"
CREDENTIALS = "tests/core/exchange/test_credentials.py::"
POSSESSION = "tests/edge/identity/test_possession.py::"

PLANTS = (
    Plant(
        "p3: a bound token passes as a bearer token",
        "edge/possession.py",
        'if token.scheme == "dpop" or binding.jkt or presented.proofs:',
        'if token.scheme == "dpop":',
        POSSESSION + "test_a_bound_token_needs_a_proof_with_each_request",
    ),
    Plant(
        "p3: a proof by another key passes",
        "edge/possession.py",
        "if not hmac.compare_digest(proof.thumbprint, binding.jkt):",
        "if False:",
        POSSESSION + "test_a_proof_of_another_key_or_token_is_refused",
    ),
    Plant(
        "p3: a DPoP proof is taken twice",
        "edge/possession.py",
        "if proof.seen_as in self._seen:",
        "if False:",
        POSSESSION + "test_a_proof_is_taken_once_as_long_as_it_would_hold",
    ),
    Plant(
        "p3: a full memory of proofs forgets one that still holds",
        "edge/possession.py",
        "raise Unavailable(Reason.IDENTITY_UNAVAILABLE)",
        "self._seen.discard(self._order.popleft()[1])",
        POSSESSION + "test_what_cannot_be_remembered_is_not_taken",
    ),
    Plant(
        "p3: a token bound to a certificate passes without it",
        "edge/possession.py",
        "if binding.x5t and binding.x5t != _x5t(presented.certificate):",
        "if binding.x5t and _x5t(presented.certificate) and binding.x5t != _x5t(presented.certificate):",
        POSSESSION + "test_a_token_bound_to_a_certificate_needs_that_one",
    ),
    Plant(
        "p3: a certificate that nobody verified names a workload",
        "edge/possession.py",
        '            return ""\n        domain',
        "            pass\n        domain",
        POSSESSION + "test_a_certificate_that_nobody_vouches_for_names_nobody",
    ),
    Plant(
        "p3: a confirmation of an unknown kind is ignored",
        "core/binding.py",
        "if binding == UNBOUND:",
        "if False:",
        CLAIMS + "test_a_binding_is_read_and_one_that_cannot_be_enforced_is_refused",
    ),
    Plant(
        "p3: a proof for another server passes",
        "core/dpop.py",
        'if not _is_ours(payload.get("htu"), presented, terms.external_urls):  # 8',
        "if False:  # 8",
        DPOP + "test_configured_urls_replace_what_the_request_says_of_itself",
    ),
    Plant(
        "p3: a proof for another token passes",
        "core/dpop.py",
        'if payload.get("ath") != encode_base64url(',
        "if False and encode_base64url(",
        DPOP + "test_a_proof_for_something_else_is_refused",
    ),
    Plant(
        "p3: an old proof passes",
        "core/dpop.py",
        "if not now_unix - terms.max_age_seconds <= issued <= now_unix + AHEAD_SECONDS:  # 9",
        "if not issued <= now_unix + AHEAD_SECONDS:  # 9",
        DPOP + "test_a_proof_for_something_else_is_refused",
    ),
    Plant(
        "p3: a proof without our nonce passes",
        "core/dpop.py",
        'if terms.nonce_key and payload.get("nonce") not in',
        'if terms.nonce_key and "nonce" in payload and payload.get("nonce") not in',
        DPOP + "test_a_nonce_of_ours_is_wanted_and_told",
    ),
    Plant(
        "p3: a proof with its private key passes",
        "core/dpop.py",
        "or not _PRIVATE.isdisjoint(jwk):",
        ":",
        DPOP + "test_a_header_that_is_no_proof_is_refused",
    ),
    Plant(
        "p3: groups that were left out are no groups",
        "core/claims.py",
        'if issuer.groups_overage == "refuse" and _groups_left_out(values, issuer):',
        "if False:",
        CLAIMS + "test_a_token_that_leaves_its_groups_out_is_refused_for_that",
    ),
    Plant(
        "p3: one authorized party covers another that is not",
        "core/claims.py",
        "return bool(parties) and set(parties) <= set(authorized)",
        "return bool(set(parties) & set(authorized))",
        CLAIMS + "test_a_token_without_a_party_or_with_a_second_one_is_refused",
    ),
    Plant(
        "p3: a token that names no party needs none",
        "core/claims.py",
        "return bool(parties) and set(parties) <= set(authorized)",
        "return set(parties) <= set(authorized)",
        CLAIMS + "test_a_token_without_a_party_or_with_a_second_one_is_refused",
    ),
    Plant(
        "p3: a program counts as a person",
        "core/claims.py",
        "return subject in parties  # RFC 9068",
        "return False  # RFC 9068",
        CLAIMS + "test_tokens_of_programs_are_told",
    ),
    Plant(
        "p3: a service account has the name that the token's subject claims alone",
        "core/claims.py",
        'or subject != f"system:serviceaccount:{namespace}:{name}":',
        ":",
        CLAIMS + "test_a_service_account_that_is_named_in_two_ways_is_refused",
    ),
    Plant(
        "p3: any method counts as several factors",
        "core/claims.py",
        "not issuer.mfa_methods.isdisjoint(methods)",
        "bool(methods)",
        CLAIMS + "test_several_factors_are_what_the_configuration_calls_so",
    ),
    Plant(
        "p5: the model server sees the caller's proof of possession",
        "core/forwarding.py",
        '"cookie", "dpop"})',
        '"cookie"})',
        CREDENTIALS + "test_the_proof_is_asked_about_and_never_reaches_the_model",
    ),
    Plant(
        "p3: card data in a workload's id is recorded",
        "core/principal.py",
        "principal.spiffe_id, *principal.groups)",
        "*principal.groups)",
        "tests/core/exchange/test_exchange_paths.py::test_card_data_in_a_claim_that_identifies_is_refused",
    ),
    Plant(
        "p6: an issuer that cannot be reached is no control failure",
        "edge/keys.py",
        "return self._failures >= FAILURES_BEFORE_DOWN or (self.key_set is not None and not self.usable())",
        "return self.key_set is not None and not self.usable()",
        CONTROL + "test_an_outage_is_seen_and_its_end",
    ),
    Plant(
        "p6: a failing issuer that could not be recorded is forgotten",
        "edge/identity_control.py",
        'extra={"event_code": code.value})\n                continue',
        'extra={"event_code": code.value})',
        CONTROL + "test_what_cannot_be_recorded_now_is_recorded_later",
    ),
    Plant(
        "p3: an unverified certificate counts when no client authority is configured",
        "edge/identity_control.py",
        "certificates_verified=tls is not None and tls.client_ca is not None,",
        "certificates_verified=tls is not None,",
        CONTROL + "test_the_terms_are_those_of_the_configuration",
    ),
    Plant(
        "p3: an ID token passes where only access tokens are accepted",
        "core/identity.py",
        "if issuer.token_types and outline.type not in issuer.token_types:  # 2",
        "if False:  # 2",
        "tests/core/test_identity.py::test_only_the_configured_types_are_accepted",
    ),
    Plant(
        "p3: the token to ask for keys with goes wherever a discovery document says",
        "edge/key_source.py",
        "if not issuer.token_file or _origin(url) != _origin(issuer.issuer if issuer.discovery else issuer.jwks_url):",
        "if not issuer.token_file:",
        "tests/edge/identity/test_key_source.py::test_the_token_to_ask_with_is_read_anew_and_stays_with_the_issuer",
    ),
    Plant(
        "p3: with an authority of its own an issuer is believed without it too",
        "edge/key_source.py",
        "ssl.create_default_context(cafile=ca_file)",
        "ssl._create_unverified_context(cafile=ca_file)",
        "tests/edge/identity/test_key_source.py::test_only_the_authority_of_the_configuration_is_trusted",
    ),
)
