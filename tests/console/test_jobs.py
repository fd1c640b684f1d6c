"""Jobs of the console: one of a kind at a time, kept for a while, and no word of what went wrong unexpectedly."""

import threading

from extproc.audit.stores.store import StoreFailed
from extproc.console.jobs import KEEP_SECONDS, Jobs, Progress


def test_one_of_a_kind_runs_at_a_time() -> None:
    jobs, gate = Jobs(), threading.Event()
    first = jobs.begin("verify", "a day", "ada", lambda _: gate.wait(10))
    assert jobs.begin("verify", "a week", "bo", lambda _: None) is first
    other = jobs.begin("pack", "a day", "bo", lambda _: "made")
    assert other.over.wait(10)
    assert (other.result, first.running) == ("made", True)
    jobs.forget("verify")
    assert jobs.latest("verify") is first
    gate.set()
    assert first.over.wait(10)


def test_a_result_is_kept_for_a_while_and_no_longer() -> None:
    now = [1_000.0]
    jobs = Jobs(lambda: now[0])
    job = jobs.begin("pack", "a day", "ada", lambda _: "made")
    assert job.over.wait(10)
    now[0] += KEEP_SECONDS
    assert jobs.latest("pack") is job
    now[0] += 1
    assert jobs.latest("pack") is None


def test_why_it_failed_is_said_where_it_is_ours_to_say() -> None:
    def store(_: Progress) -> None:
        raise StoreFailed("the bucket said no")

    def bug(_: Progress) -> None:
        raise ValueError("4111111111111111")

    jobs = Jobs()
    failed = [jobs.begin(name, "", "ada", work) for name, work in (("store", store), ("bug", bug))]
    assert all(job.over.wait(10) for job in failed)
    assert failed[0].failure == "the bucket said no"
    assert "4111" not in failed[1].failure


def test_the_progress_of_a_verification_is_in_segments() -> None:
    progress = Progress()
    progress.listed(3, 100)
    progress.proven(2, 50)
    assert progress.words == "2 of 3 segments"


def test_what_was_never_begun_is_none() -> None:
    assert Jobs().latest("nothing") is None
