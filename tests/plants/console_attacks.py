"""Planted bugs: ways into the console, and to what is not for everybody, that were open once."""

from tests.plants.plant import Plant

TESTS = "tests/console/test_console_attacks.py::"
COOKIE = TESTS + "test_no_other_host_gives_a_browser_its_session"
CALLERS = TESTS + "test_callers_without_the_right_to_text_get_no_reasons"

REFUSALS = "tests/console/test_refusals.py::"

PLANTS = (
    Plant(
        "console: a cookie's name without blanks beyond ASCII",
        "console/cookies.py",
        'each.strip(" \\t").partition("=")',
        'each.strip().partition("=")',
        COOKIE,
    ),
    Plant(
        "console: the last of two cookies under one name",
        "console/cookies.py",
        'plain if found.get(name, plain) == plain else ""',
        "plain",
        COOKIE,
    ),
    Plant(
        "api: readers are told reasons",
        "console/api_approvals.py",
        "if reads else facts_shape(approval)",
        "if reads else approval_shape(approval)",
        CALLERS,
    ),
    Plant(
        "api: readers find reasons by searching",
        "console/api_approvals.py",
        "in_reasons=not caller.roles or not READS_TEXT.isdisjoint(caller.roles)",
        "in_reasons=True",
        CALLERS,
    ),
    Plant(
        "console: readers find reasons by searching",
        "console/finding_approvals.py",
        "in_reasons=not READS_TEXT.isdisjoint(roles)",
        "in_reasons=True",
        TESTS + "test_readers_neither_see_nor_find_why_somebody_asks_or_decides",
    ),
    Plant(
        "console: the page of a session tells readers reasons",
        "console/pages_session.py",
        "reads_reasons=not READS_TEXT.isdisjoint(roles)",
        "reads_reasons=True",
        TESTS + "test_the_page_of_a_session_keeps_reasons_from_readers",
    ),
    Plant(
        "console: a refused reason is shown as it was typed",
        "console/pages_approval.py",
        "await decided(parts, Decisions.decide, approval_id, _asking(request, person, channel), verdict)\n"
        "    except TransitionRefused as refused:\n"
        '        return await _refused(request, person, refused, mask_reason(form.get("reason", "")))',
        "await decided(parts, Decisions.decide, approval_id, _asking(request, person, channel), verdict)\n"
        "    except TransitionRefused as refused:\n"
        '        return await _refused(request, person, refused, form.get("reason", ""))',
        TESTS + "test_a_reason_that_is_shown_again_holds_no_card_number",
    ),
    Plant(
        "console: any number of steps in a session",
        "console/pages_approval.py",
        "    spend_step(request)\n",
        "",
        TESTS + "test_a_session_takes_so_many_steps_a_minute",
    ),
    Plant(
        "console: the log has the path that failed",
        "console/parts.py",
        'return route.path if isinstance(route, Route) else "none"',
        "return request.url.path",
        TESTS + "test_logs_hold_no_link_and_nothing_of_a_path",
    ),
    Plant(
        "console: a page that is refused for a missing role leaves no record",
        "console/refusals.py",
        "    await parts.log.store(act.without_role(http_status, actor, **said))\n",
        "",
        REFUSALS + "test_a_page_that_is_not_for_somebody_is_refused_on_the_record",
    ),
    Plant(
        "console: whoever is refused may fill the log",
        "console/refusals.py",
        "    if wait := parts.role_refusals.wait_seconds(person.uid, now):\n        return wait\n",
        "",
        REFUSALS + "test_whoever_is_refused_again_and_again_fills_no_log",
    ),
    Plant(
        "console: one person's refusals hold up another",
        "console/refusals.py",
        "    locks = parts.role_refusals.failed(person.uid, now)\n",
        "    locks = [parts.role_refusals.failed(uid, now) for uid in (person.uid, 'https://login.example.org|otto')][0]\n",
        REFUSALS + "test_whoever_is_refused_again_and_again_fills_no_log",
    ),
    Plant(
        "console: a refusal keeps a card number of its path",
        "console/refusals.py",
        "kept(text) for",
        "text for",
        REFUSALS + "test_a_card_number_in_a_path_is_masked_in_the_refusal",
    ),
    Plant(
        "console: the API looks for others' approvals without a record",
        "console/api_approvals.py",
        "    if not caller.roles and (wait :=",
        "    if caller.roles and (wait :=",
        REFUSALS
        + "test_a_program_that_looks_for_others_approvals_is_on_the_record_and_not_heard_for_ever[of somebody else]",
    ),
    Plant(
        "console: slashes are mended by redirects",
        "console/app.py",
        "app.router.redirect_slashes = False",
        "app.router.redirect_slashes = True",
        TESTS + "test_no_redirect_to_another_scheme",
    ),
    Plant(
        "console: a body of two lengths",
        "console/headers.py",
        '{b"content-length", b"transfer-encoding"} <= ',
        '{b"content-length", b"no"} <= ',
        TESTS + "test_a_body_of_two_lengths_is_refused_and_the_connection_closed",
    ),
)
