"""Planted bugs: what the session index keeps, finds and counts, and what makes it anew."""

from tests.plants.plant import Plant

FACTS = "approvals/index/facts.py"
FOLLOW = "approvals/index/follow.py"
READING = "approvals/index/reading.py"
RUNS = "approvals/index/runs.py"
SEARCH = "approvals/index/search.py"
VERDICT = "approvals/index/verdict.py"
TAKING = "approvals/index/taking.py"
WRITER = "approvals/index/writer.py"
INDEX_TESTS = "tests/approvals/test_session_index.py::"
SEARCH_TESTS = "tests/approvals/test_session_search.py::"

PLANTS = (
    Plant(
        "of two records of an exchange the earlier tells what came of it",
        FACTS,
        "told=max(one.told, other.told),",
        "told=min(one.told, other.told),",
        SEARCH_TESTS + "test_counts_follow_an_exchange_that_becomes_another",
    ),
    Plant(
        "an exchange that the policy denied reads as answered",
        VERDICT,
        '    if effect == "deny":\n        return Verdict.BLOCKED\n',
        "",
        INDEX_TESTS + "test_what_was_blocked_never_looks_like_success",
    ),
    Plant(
        "what is under way is counted for good",
        WRITER,
        "            self._count(before, -1)\n",
        "            pass\n",
        SEARCH_TESTS + "test_counts_follow_an_exchange_that_becomes_another",
    ),
    Plant(
        "a page of many kinds of sessions ends where the newest few do",
        READING,
        "        if len(ids) == limit:\n            return ids\n",
        "        return ids\n",
        SEARCH_TESTS + "test_pages_hold_each_row_once_newest_first_and_lead_back[sqlite-few]",
    ),
    Plant(
        "among the newest few another person's sessions are found",
        RUNS,
        "    if where.by_person:\n        conditions.append(columns",
        "    if not where.each:\n        conditions.append(columns",
        SEARCH_TESTS + "test_every_filter_finds_what_matches_and_counts_it[sqlite]",
    ),
    Plant(
        "too many people of a name are not said",
        RUNS,
        "len(found) > MAX_PEOPLE",
        "False",
        SEARCH_TESTS + "test_too_many_people_of_a_name_are_said[sqlite]",
    ),
    Plant(
        "a count that stops early looks whole",
        SEARCH,
        "count <= COUNTED_TO, too_many",
        "True, too_many",
        SEARCH_TESTS + "test_more_than_can_be_counted_is_said[sqlite]",
    ),
    Plant(
        "a broken segment leaves no note",
        TAKING,
        "            self.pass_over(origin, segment, what, now_ms, sealed_ms)\n            return",
        "            return",
        INDEX_TESTS + "TestFollowing::test_a_broken_segment_is_noted_and_later_ones_go_on[sqlite]",
    ),
    Plant(
        "a segment that was mended stays noted",
        TAKING,
        "watermark, 0 if what else segment)",
        "watermark, 0)",
        INDEX_TESTS + "TestFollowing::test_a_broken_segment_is_noted_and_later_ones_go_on[sqlite]",
    ),
    Plant(
        "a missing segment is passed over for good",
        FOLLOW,
        "            self._retry(now_ms)\n",
        "",
        INDEX_TESTS + "TestFollowing::test_a_missing_segment_is_passed_over_and_taken_when_it_comes[sqlite]",
    ),
    Plant(
        "what stays broken is all that is tried again",
        FOLLOW,
        "            self._retried = (text, number)\n",
        "",
        INDEX_TESTS + "TestFollowing::test_what_stays_broken_keeps_nothing_else_from_being_tried_again[sqlite]",
    ),
    Plant(
        "two who follow at the same moment count twice",
        WRITER,
        'self._put(connection, STATE, [{"state_id": 1, "writes": 1, "looked_ms": 0, "behind": 0}], add=("writes",))',
        "pass",
        INDEX_TESTS + "test_followers_at_the_same_moment_make_the_index_of_one[postgresql]",
    ),
    Plant(
        "an index that is emptied halfway keeps its watermarks",
        WRITER,
        "            empty_tables(connection, [table for table in ALL if table is not STATE])\n",
        "            for table in ALL:\n                if table is not STATE:\n"
        "                    with self._database.transaction() as each:\n"
        "                        empty_tables(each, [table])\n",
        INDEX_TESTS + "test_it_is_emptied_at_once_or_not_at_all[postgresql]",
    ),
    Plant(
        "the rarest of a filter's choices comes first",
        "approvals/index/choices.py",
        "key=lambda choice: (-choice.count, choice.value)",
        "key=lambda choice: (choice.count, choice.value)",
        SEARCH_TESTS + "test_choices_are_counted_and_the_most_frequent_first[sqlite]",
    ),
    Plant(
        "of many choices any are left out",
        "approvals/index/choices.py",
        'order_by(found.c["count"].desc(), found.c.value)',
        "order_by(found.c.value)",
        SEARCH_TESTS + "test_of_many_choices_the_rarest_are_left_out",
    ),
)
