"""Planted bugs: what administrators do to the console is recorded first, and bounded."""

from tests.plants.plant import Plant

LOG, COMMAND = "tests/console/test_log_pages.py::", "tests/console/test_console_command.py::"
NOTIFICATIONS = "tests/approvals/test_notifications_command.py::"
ENDED = COMMAND + "test_the_sessions_of_one_person_end_everywhere_and_that_is_recorded_first"

PEOPLE = "tests/console/test_people_page.py::"

PLANTS = (
    Plant(
        "console: what is told again is recorded afterwards or not at all",
        "console/pages_notifications.py",
        "    if wanted:\n",
        "    if False:\n",
        LOG + "test_nothing_is_told_again_that_cannot_be_recorded",
    ),
    Plant(
        "console: a record keeps what a form says",
        "console/pages_notifications.py",
        "**described(wanted)))",
        "**described(wanted), asked=str(asked)))",
        LOG + "test_a_dead_letter_is_told_again_one_or_all",
    ),
    Plant(
        "console: letters are told again without bounds",
        "console/pages_notifications.py",
        "    spend_step(request)\n",
        "",
        LOG + "test_a_session_begins_so_much_in_a_minute[/notifications/retry-admin]",
    ),
    Plant(
        "console: cases are run without bounds",
        "console/pages_policy.py",
        "    spend_step(request)\n",
        "",
        LOG + "test_a_session_begins_so_much_in_a_minute[/policy/cases-reader]",
    ),
    Plant(
        "console: the store fails and the record says that all is told again",
        "console/pages_notifications.py",
        "            await parts.log.store(act.failed(",
        "            str(act.failed(",
        LOG + "test_what_the_store_keeps_from_being_told_again_is_on_the_record",
    ),
    Plant(
        "notifications: a command keeps success of what is not told again",
        "cli/notifications.py",
        "                record_failure(",
        "                print(",
        NOTIFICATIONS + "test_what_the_store_keeps_from_being_told_again_is_on_the_record",
    ),
    Plant(
        "notifications: a command tells again and nobody knows",
        "cli/notifications.py",
        "        record_act(settings, code, operation, {**described(wanted)})\n",
        "",
        NOTIFICATIONS + "test_without_a_record_nothing_is_told_again",
    ),
    Plant(
        "console people: sessions end without their record",
        "console/pages_people.py",
        "    await parts.log.store(act.done(",
        "    str(act.done(",
        PEOPLE + "test_an_admin_ends_the_sessions_of_one_person_and_that_is_recorded_first",
    ),
    Plant(
        "console people: the store fails and the record says that sessions ended",
        "console/pages_people.py",
        "        await parts.log.store(act.failed(",
        "        str(act.failed(",
        PEOPLE + "test_sessions_that_the_store_keeps_from_ending_are_recorded_as_not_ended",
    ),
    Plant(
        "console people: who leaves keeps recorded sessions from ending",
        "console/pages_people.py",
        "await asyncio.shield(asyncio.create_task(ending))",
        "await ending",
        PEOPLE + "test_sessions_end_also_when_who_asked_is_gone_once_it_is_recorded",
    ),
    Plant(
        "console people: what kept sessions from ending is recorded as done",
        "console/records.py",
        "status=Outcome.FAILED, http_status=503",
        "status=Outcome.SUCCEEDED, http_status=503",
        PEOPLE + "test_sessions_that_the_store_keeps_from_ending_are_recorded_as_not_ended",
    ),
    Plant(
        "console people: nobody learns how many sessions ended",
        "console/templates/people.html",
        "{% elif ended == 0 %}",
        "{% elif ended == 1 %}",
        PEOPLE + "test_the_page_says_how_many_sessions_ended",
    ),
    Plant(
        "console: a command keeps success of sessions that did not end",
        "cli/console.py",
        "                record_failure(settings, EventCode.ADMIN_SESSIONS_END, _END_SESSIONS, said, error.reason)\n",
        "",
        COMMAND + "test_sessions_that_the_store_keeps_from_ending_are_recorded_as_not_ended",
    ),
    Plant(
        "console people: any reader ends sessions",
        "console/pages_people.py",
        "    person = await require_role(request, Role.ADMIN)\n    form",
        "    person = await require_role(request, Role.READER)\n    form",
        PEOPLE + "test_who_is_logged_in_is_for_admins_alone[reader]",
    ),
    Plant(
        "console people: any reader sees who is logged in",
        "console/pages_people.py",
        "    own = await require_role(request, Role.ADMIN)\n",
        "    own = await require_role(request, Role.READER)\n",
        PEOPLE + "test_who_is_logged_in_is_for_admins_alone[reader]",
    ),
    Plant(
        "console people: another site ends sessions",
        "console/pages_people.py",
        "    form = await read_own_form(request)\n",
        "    from extproc.console.forms import read_form\n    form = await read_form(request)\n",
        PEOPLE + "test_no_form_of_another_site_ends_a_session",
    ),
    Plant(
        "console people: sessions that are over are listed",
        "approvals/sessions.py",
        "select(_row.person, _row.expires_at, _row.ends_at).where(_row.expires_at > now)",
        "select(_row.person, _row.expires_at, _row.ends_at)",
        "tests/approvals/test_console_tables.py::test_live_sessions_are_listed_without_what_finds_them",
    ),
    Plant(
        "console: sessions end without their record",
        "cli/console.py",
        "            record_act(settings, EventCode.ADMIN_SESSIONS_END, ",
        "            print(settings, EventCode.ADMIN_SESSIONS_END, ",
        ENDED,
    ),
    Plant(
        "console: the sessions of others end as well",
        "console/session.py",
        "is not None and folded_uid(person.uid) == folded_uid(uid)\n",
        "is not None and folded_uid(person.uid).startswith(folded_uid(uid)[:-2])\n",
        ENDED,
    ),
    Plant(
        "console: one session of a person goes on",
        "approvals/sessions.py",
        "if is_theirs(row.person)]\n",
        "if is_theirs(row.person)][:1]\n",
        ENDED,
    ),
)
