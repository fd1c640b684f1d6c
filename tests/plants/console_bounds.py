"""Planted bugs: what somebody may do to the console once, or so often, and then no more."""

from tests.plants.plant import Plant

LINKS, GRPC = "tests/console/test_links.py::", "tests/console/test_grpc.py::"
OIDC, ATTACKS = "tests/console/test_oidc_attacks.py::", "tests/console/test_console_attacks.py::"

PLANTS = (
    Plant(
        "links: a link whose decision was not waited for serves again",
        "console/links.py",
        "    except TransitionRefused:\n",
        "    except BaseException:\n",
        LINKS + "test_a_link_through_which_something_may_have_been_decided_stays_used",
    ),
    Plant(
        "grpc: a class of ours answers what is no message",
        "console/grpc_server.py",
        "interceptors=[CheckedBodies()], ",
        "",
        GRPC + "test_what_is_no_message_is_refused_in_our_words",
    ),
    Plant(
        "oidc: another site locks people out of the login",
        "console/oidc.py",
        "parts.login_failures if began else parts.stray_answers",
        "parts.login_failures",
        OIDC + "test_answers_that_another_site_has_a_browser_ask_lock_nobody_out",
    ),
    Plant(
        "saml: another site locks people out of the login",
        "console/login.py",
        "parts.login_failures if asked or saml.allow_unsolicited else parts.stray_answers",
        "parts.login_failures",
        "tests/console/test_saml_login.py::test_answers_that_another_site_has_a_browser_post_lock_nobody_out",
    ),
    Plant(
        "saml: answers to no login are recorded without end",
        "console/login.py",
        "    if wait := counted.wait_seconds(act.client.address, now):\n",
        "    if wait := asked and counted.wait_seconds(act.client.address, now):\n",
        "tests/console/test_saml_login.py::test_answers_that_another_site_has_a_browser_post_lock_nobody_out",
    ),
    Plant(
        "oidc: answers to no login are recorded without end",
        "console/oidc.py",
        "    if wait := counted.wait_seconds(act.client.address, now):\n",
        "    if wait := began and counted.wait_seconds(act.client.address, now):\n",
        OIDC + "test_answers_that_another_site_has_a_browser_ask_lock_nobody_out",
    ),
    Plant(
        "live: whoever is logged in hears of all approvals",
        "console/live_news.py",
        "sees_all = bool(roles_of(person, parts.settings.roles))",
        "sees_all = bool(roles_of)",
        "tests/console/test_live_news.py::test_whoever_has_no_role_hears_of_their_own_alone",
    ),
    Plant(
        "live: a requester without a role hears nothing",
        "console/live_news.py",
        "sees_all or is_own(approval, person)",
        "sees_all",
        "tests/console/test_live_news.py::test_whoever_has_no_role_hears_of_their_own_alone",
    ),
    Plant(
        "live: streams that begin at once are too many",
        "console/live.py",
        "        if not self.may_begin(secret):  # ",
        "        if self.closed:  # ",
        "tests/console/test_live_news.py::test_of_streams_that_begin_at_once_none_is_one_too_many",
    ),
    Plant(
        "console: whoever has no role learns which approvals there are",
        "console/pages_approval.py",
        "    found = await _find(request, person)  # who",
        "    found = None if refused.code is TransitionCode.UNKNOWN else await _find(request, person)  # who",
        ATTACKS + "test_people_without_a_role_learn_of_no_approval_that_there_is_one",
    ),
)
