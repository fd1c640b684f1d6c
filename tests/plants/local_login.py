"""Planted bugs: the development login, and what the console's headers let a browser say."""

from tests.plants.plant import Plant

LOGIN = "local/issuer_login.py"
TESTS = "tests/edge/identity/test_dev_login.py::"

OWN = "tests/edge/settings/test_own_settings.py::"

PLANTS = (
    Plant(
        "a start forgets what a person wants otherwise",
        "local/guard.py",
        "    _merge(document, read_own(directory))\n",
        "    read_own(directory)\n",
        OWN + "test_what_a_person_wants_otherwise_counts_at_every_start",
    ),
    Plant(
        "a console is awaited where the person's own settings do not put it",
        "local/guard.py",
        "console_url(settings.console.port), directory",
        "console_url(wanted.console_port), directory",
        OWN + "test_a_console_is_awaited_and_shown_where_ones_own_settings_put_it",
    ),
    Plant(
        "an edited configuration is lost",
        "local/own_settings.py",
        "    if lines[0] == f",
        "    if lines[0] != f",
        OWN + "test_an_edited_configuration_is_kept_once_and_one_that_is_as_written_is_not",
    ),
    Plant(
        "a second edited configuration replaces the first",
        "local/own_settings.py",
        "        if not copy.exists():\n",
        "        if copy:\n",
        OWN + "test_an_edited_configuration_is_kept_once_and_one_that_is_as_written_is_not",
    ),
    Plant(
        "run does not say where an edited configuration is kept",
        "cli/run.py",
        'click.echo(f"config.yaml was edited, and is written anew: what stood there is kept in {kept}.", err=True)',
        "pass",
        OWN + "test_run_says_where_an_edited_configuration_is_kept",
    ),
    Plant(
        "a development token has the last of its groups alone",
        "cli/dev.py",
        "for names in options for name",
        "for names in options[-1:] for name",
        "tests/edge/identity/test_dev_issuer.py::test_dev_token_says_of_a_sign_in_what_it_is_told_and_nothing_else",
    ),
    Plant(
        "a development token has no name",
        "cli/dev.py",
        "name=name or subject,",
        "name=name,",
        "tests/edge/identity/test_dev_issuer.py::test_dev_token_says_of_a_sign_in_what_it_is_told_and_nothing_else",
    ),
    Plant(
        "the development issuer answers to any address",
        LOGIN,
        "target.hostname not in _LOOPBACK or ",
        "",
        TESTS + "test_what_does_not_hold_gets_no_page_to_pick_on",
    ),
    Plant(
        "the development issuer does without PKCE",
        LOGIN,
        "hmac.compare_digest(challenge, grant.asked.code_challenge) and ",
        "",
        TESTS + "test_a_code_is_good_for_its_own_request_only",
    ),
    Plant(
        "a development code is good twice",
        LOGIN,
        'self._grants.pop(form.get("code", ""), None)',
        'self._grants.get(form.get("code", ""))',
        TESTS + "test_a_code_is_good_once_and_for_a_minute",
    ),
    Plant(
        "a development code is good for ever",
        LOGIN,
        " or time.time() - grant.at > CODE_SECONDS",
        "",
        TESTS + "test_a_code_is_good_once_and_for_a_minute",
    ),
    Plant(
        "what a client sends is markup on the development login",
        LOGIN,
        "html.escape(getattr(asked, name))",
        "getattr(asked, name)",
        TESTS + "test_who_was_picked_is_in_both_tokens",
    ),
    Plant(
        "another site picks who to be at the development issuer",
        "local/issuer.py",
        ' or self.headers.get("origin", self._url) != self._url',
        "",
        TESTS + "test_neither_another_name_nor_another_site_is_served",
    ),
    Plant(
        "the development issuer answers to any name",
        "local/issuer.py",
        'return self.headers.get("host", "") == urlsplit(self._url).netloc',
        "return True",
        TESTS + "test_neither_another_name_nor_another_site_is_served",
    ),
    Plant(
        "browsers send no origin with the console's forms",
        "console/headers.py",
        '"referrer-policy": "same-origin"',
        '"referrer-policy": "no-referrer"',
        "tests/console/test_form_origins.py::test_a_browser_may_say_that_a_form_is_our_own",
    ),
)
