"""Planted bugs: what administrators do to the console is recorded first, and bounded."""

from tests.plants.plant import Plant

LOG, COMMAND = "tests/console/test_log_pages.py::", "tests/console/test_console_command.py::"
NOTIFICATIONS = "tests/approvals/test_notifications_command.py::"
ENDED = COMMAND + "test_the_sessions_of_one_person_end_everywhere_and_that_is_recorded_first"

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
        "notifications: a command tells again and nobody knows",
        "cli/notifications.py",
        "                _record(settings, described(wanted))\n",
        "                pass\n",
        NOTIFICATIONS + "test_without_a_record_nothing_is_told_again",
    ),
    Plant(
        "console: sessions end without their record",
        "cli/console.py",
        "            record_act(\n                settings, EventCode.ADMIN_SESSIONS_END, ",
        "            print(\n                settings, EventCode.ADMIN_SESSIONS_END, ",
        ENDED,
    ),
    Plant(
        "console: the sessions of others end as well",
        "console/session.py",
        "    return folded_uid(person.uid) == folded_uid(uid)\n",
        "    return folded_uid(person.uid).startswith(folded_uid(uid)[:-2])\n",
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
