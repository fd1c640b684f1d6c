"""Planted bugs: a login by OpenID Connect is what the provider said, for this client, this browser and this login."""

from tests.plants.plant import Plant

ATTACKS = "tests/console/test_oidc_attacks.py::"
TOKENS = ATTACKS + "test_an_id_token_that_does_not_hold_logs_nobody_in"
TOKEN, LOGIN, PROVIDER = "console/oidc_token.py", "console/oidc.py", "console/oidc_provider.py"

PLANTS = (
    Plant(
        "oidc: an id_token of another login",
        TOKEN,
        "        raise OidcRefused(OidcCode.WRONG_NONCE)\n",
        "        pass\n",
        TOKENS,
    ),
    Plant(
        "oidc: an unknown audience beside us",
        TOKEN,
        "    if not set(map(str, listed)) <= {settings.client_id, *settings.audiences}:  # 2\n",
        "    if settings.client_id not in listed:  # 2\n",
        TOKENS,
    ),
    Plant("oidc: another authorized party", TOKEN, "!= settings.client_id:  # 2\n", "is None:  # 2\n", TOKENS),
    Plant(
        "oidc: an id_token from before the login",
        TOKEN,
        '    if _seconds(values.get("iat")) < begun:',
        "    if begun < 0:",
        TOKENS,
    ),
    Plant("oidc: any token type", TOKEN, 'token_types=("", "jwt")', "token_types=()", TOKENS),
    Plant(
        "oidc: the service's audience logs in",
        TOKEN,
        "audiences=(settings.client_id,)",
        'audiences=("console", "other")',
        TOKENS,
    ),
    Plant("oidc: a program logs in", TOKEN, 'if person.kind == "person":', "if person.kind:", TOKENS),
    Plant(
        "oidc: a card number as a subject",
        TOKEN,
        "        if names_card_data(person, mask):\n",
        "        if not person:\n",
        TOKENS,
    ),
    Plant(
        "oidc: whoever sits there after an idle session",
        TOKEN,
        "    if asked.fresh and ",
        "    if not asked and ",
        ATTACKS + "test_after_a_session_that_is_over_the_person_shows_anew_who_they_are",
    ),
    Plant(
        "oidc: an answer serves twice",
        LOGIN,
        "        await asyncio.to_thread(_use_once, parts, asked, now)\n",
        "",
        ATTACKS + "test_a_login_is_answered_once_and_in_time",
    ),
    Plant(
        "oidc: any of the browser's logins",
        LOGIN,
        '        if secrets.compare_digest(each.request_id.encode(), state.encode("utf-8", "surrogatepass")):\n',
        "        if each:\n",
        ATTACKS + "test_an_answer_belongs_to_the_login_of_the_browser_that_began_it",
    ),
    Plant(
        "oidc: another provider's answer",
        LOGIN,
        "    if said != provider.issuer.issuer:\n",
        "    if not said:\n",
        ATTACKS + "test_another_provider_s_answer_is_not_taken_for_this_one_s",
    ),
    Plant(
        "oidc: an answer that does not say whose it is",
        LOGIN,
        'answer.get("iss", "" if metadata.names_itself else provider.issuer.issuer)',
        'answer.get("iss", provider.issuer.issuer)',
        ATTACKS + "test_another_provider_s_answer_is_not_taken_for_this_one_s",
    ),
    Plant(
        "oidc: an open redirect",
        LOGIN,
        'to = own_path(request.query_params.get("to", "/"))',
        'to = request.query_params.get("to", "/")',
        ATTACKS + "test_after_a_login_the_browser_stays_here",
    ),
    Plant(
        "oidc: a login without its record",
        LOGIN,
        "    await parts.log.store(act.done(EventCode.AUTH_LOGIN, actor, 303, ends_at=int(ends_at)))\n",
        "",
        ATTACKS + "test_nobody_is_logged_in_whose_login_cannot_be_recorded",
    ),
    Plant(
        "oidc: a refusal without its record",
        LOGIN,
        "        await store_failure(parts, counted, act, act.refused(refused.code.value, 403), now)\n",
        "",
        ATTACKS + "test_an_answer_belongs_to_the_login_of_the_browser_that_began_it",
    ),
    Plant(
        "oidc: the challenge is the verifier itself",
        PROVIDER,
        "code_challenge=create_s256_code_challenge(asked.verifier)",
        "code_challenge=asked.verifier",
        ATTACKS + "test_the_challenge_is_the_digest_of_what_only_we_know",
    ),
)
