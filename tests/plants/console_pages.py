"""Planted bugs: the console shows text as text, to who may see it, once it is recorded; and decides for nobody else."""

from tests.plants.plant import Plant

PAGES = "tests/console/test_approval_pages.py::"
NEWS = "tests/console/test_live_news.py::"
HOSTILE = PAGES + "test_a_hostile_prompt_is_text"
DECIDES = PAGES + "test_a_decision_is_for_what_was_shown_with_a_reason_and_from_this_session"
MAY_NOT = PAGES + "test_what_a_person_may_not_do_is_said_instead_of_a_button"

PLANTS = (
    Plant(
        "console: text is markup",
        "console/filters.py",
        "    pieces.append(escape(source[begin:]))",
        "    pieces.append(Markup(source[begin:]))",
        HOSTILE,
    ),
    Plant(
        "console: a wrong word in the URL of the approvals is passed over in silence",
        "console/finding_approvals.py",
        "    problems = tuple(_unknown(said))\n",
        "    problems: tuple[str, ...] = ()\n",
        PAGES + "test_a_wrong_word_in_the_url_of_the_list_is_told",
    ),
    Plant(
        "console: templates escape nothing",
        "console/pages.py",
        "        autoescape=True,\n",
        "        autoescape=False,\n",
        PAGES + "test_no_template_turns_escaping_off",
    ),
    Plant("console: letters that show nothing", "console/filters.py", "character in _INVISIBLE or ", "", HOSTILE),
    Plant(
        "console: a form of another site",
        "console/csrf.py",
        "    if not is_same_origin(request):  # 1\n",
        "    if not request:  # 1\n",
        DECIDES,
    ),
    Plant(
        "console: a form of another session",
        "console/csrf.py",
        "not hmac.compare_digest(given, csrf_token(request).encode())",
        "not given",
        DECIDES,
    ),
    Plant(
        "console: a token that every session has",
        "console/csrf.py",
        '    secret = own_cookies(request).get(SESSION_COOKIE, "")\n',
        '    secret = "x"\n',
        DECIDES,
    ),
    Plant(
        "console: a decision on another view",
        "console/pages_approval.py",
        'form.get("seen", ""))',
        "shown_digest(await _find(request, person)))",
        DECIDES,
    ),
    Plant(
        "console: any role decides",
        "console/pages_approval.py",
        "    if Role.APPROVER not in roles_of(person, parts.settings.roles):\n        raise RoleMissing((Role.APPROVER,))\n    if form",
        "    if form",
        MAY_NOT,
    ),
    Plant(
        "console: a reader reads requests",
        "console/approval_view.py",
        "may_read=not READS_TEXT.isdisjoint(roles)",
        "may_read=bool(roles)",
        MAY_NOT,
    ),
    Plant(
        "console: somebody without a role looks",
        "console/pages_approval.py",
        "    if roles_of(person, parts.settings.roles) or (found",
        "    if person or (found",
        PAGES + "test_whoever_has_no_role_learns_which_and_of_nobody_else_s_request",
    ),
    Plant(
        "console: a reason with a card number",
        "console/pages_approval.py",
        'mask_reason(form.get("reason", "")), form',
        'form.get("reason", ""), form',
        PAGES + "test_an_approver_reads_the_masked_request_and_grants_it",
    ),
    Plant(
        "console: a session reads as fast as it likes",
        "console/pace.py",
        "            raise TooMany(",
        "            TooMany(",
        PAGES + "test_a_session_reads_so_many_pages_with_content_a_minute",
    ),
    Plant(
        "console: listening keeps a session alive",
        "console/live.py",
        "sessions.peek, secret, now)",
        "sessions.find, secret, now)",
        NEWS + "test_listening_keeps_no_session_alive_and_ends_with_it",
    ),
    Plant(
        "console: a page that a script loads is activity",
        "console/session.py",
        "    look = parts.sessions.peek if LIVE_HEADER in request.headers else parts.sessions.find\n",
        "    look = parts.sessions.find\n",
        NEWS + "test_listening_keeps_no_session_alive_and_ends_with_it",
    ),
    Plant(
        "console: as many streams as one likes",
        "console/live.py",
        "        return room and not self.closed\n",
        "        return not self.closed\n",
        NEWS + "test_there_is_room_for_so_many_streams_of_a_session_and_of_all",
    ),
    Plant(
        "console: what a review found is not to be read",
        "console/templates/approval.html",
        """  {% if standing.may_read or standing.own %}<blockquote class="said">{{ approval.decision_reason | plain }}</blockquote>{% endif %}\n""",
        "",
        PAGES + "test_a_grant_is_taken_back_and_an_emergency_reviewed",
    ),
    Plant(
        "console: names in a sentence are markup",
        "console/filters.py",
        'pieces = [plain(piece) for piece in str(text).split("`")]',
        'pieces = [Markup(piece) for piece in str(text).split("`")]',
        "tests/console/test_filters.py::test_names_in_a_sentence_are_set_as_code_and_nothing_else_is_markup",
    ),
    Plant(
        "console: of a group that is needed twice both are missing",
        "console/approval_view.py",
        "        missing[group] -= 1\n",
        "",
        "tests/console/test_approval_view.py::test_of_a_group_that_two_people_are_needed_of_the_page_shows_one_missing",
    ),
)
