"""The policy's file: seen within a second whatever way it changes, and never replaced by something worse."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from extproc.core.document import Problem
from extproc.core.policy import Policy
from extproc.core.policy_document import PolicyInvalid
from extproc.edge.policy_file import POLL_SECONDS, Fitness, PolicyFile, load_policy
from extproc.edge.settings_file import load_settings

GOOD = "apiVersion: extproc/v1\nkind: Policy\nname: {}\nrules:\n  - {{name: a, effect: allow, match: {{}}}}\n"

ANY = Fitness()


class Watched:
    """A policy file with what it told."""

    def __init__(self, path: Path, fitness: Fitness = ANY) -> None:
        self.policies: list[str] = []
        self.failures: list[tuple[Problem, ...]] = []
        self.file = PolicyFile(path, on_change=self._changed, on_failure=self.failures.append, fitness=fitness)

    def _changed(self, policy: Policy) -> None:
        self.policies.append(policy.name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.file.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds, f"not seen within {seconds:g} s"
        await asyncio.sleep(0.01)


async def settle() -> None:
    """Long enough for the two looks that a change needs."""
    await asyncio.sleep(3 * POLL_SECONDS)


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def swap_symlink(path: Path, text: str) -> None:
    """As kubelet does: a new folder, and `..data` renamed over the old link. `path` itself never changes."""
    folder = path.parent
    target = folder / f"..{time.monotonic_ns()}"
    target.mkdir()
    (target / path.name).write_text(text)
    (folder / "..data_tmp").symlink_to(target.name)
    (folder / "..data_tmp").replace(folder / "..data")
    if not path.is_symlink():
        path.unlink(missing_ok=True)
        path.symlink_to(f"..data/{path.name}")


@pytest.mark.parametrize("change", [write_in_place, rename, swap_symlink])
async def test_a_change_is_in_force_within_a_second(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    path = tmp_path / "policy.yaml"
    change(path, GOOD.format("one"))
    watched = Watched(path)
    assert watched.file.load().name == "one"
    async with watched.running():
        await settle()
        assert watched.policies == []
        for name in ("two", "six"):  # of equal length
            change(path, GOOD.format(name))
            await until(lambda name=name: watched.policies[-1:] == [name], 1.0)
    assert watched.policies == ["two", "six"]
    assert watched.failures == []


async def test_half_of_a_file_that_is_written_slowly_is_not_put_in_force(tmp_path: Path) -> None:
    """Its denying rules may be those that are still to come."""
    path = tmp_path / "policy.yaml"
    deny = "  - {name: b, effect: deny, match: {models: [secret]}}\n"
    path.write_text(GOOD.format("one") + deny)
    watched = Watched(path)
    watched.file.load()
    async with watched.running():
        with path.open("w") as writer:
            writer.write(GOOD.format("two"))
            writer.flush()
            await asyncio.sleep(7 * POLL_SECONDS)
            assert watched.policies == []
            writer.write(deny)
        await until(lambda: watched.policies == ["two"])


async def test_a_file_that_stays_shorter_counts_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.edge.policy_file.SHORTER_SECONDS", 2 * POLL_SECONDS)
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("a-longer-name"))
    watched = Watched(path)
    watched.file.load()
    async with watched.running():
        path.write_text(GOOD.format("two"))
        await until(lambda: watched.policies == ["two"])


async def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    before = path.stat()
    watched = Watched(path)
    watched.file.load()
    async with watched.running():
        path.write_text(GOOD.format("two"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        await until(lambda: watched.policies == ["two"])


@pytest.mark.parametrize(
    "bad", ["", "rules: []", "[", "\x00", None], ids=["empty", "no rules", "cut", "binary", "gone"]
)
async def test_a_bad_file_keeps_the_last_good_policy_and_is_told_once(tmp_path: Path, bad: str | None) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    watched = Watched(path)
    watched.file.load()
    async with watched.running():
        if bad is None:
            path.unlink()
        else:
            path.write_text(bad)
        await until(lambda: watched.file.failing)
        for _ in range(2):
            if bad is not None:
                path.touch()
            await settle()
        assert len(watched.failures) == 1
        assert watched.failures[0]
        assert watched.policies == []
        path.write_text(GOOD.format("two"))
        await until(lambda: watched.policies == ["two"])
        assert not watched.file.failing


async def test_each_distinct_bad_content_is_told(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    watched = Watched(path)
    watched.file.load()
    async with watched.running():
        for count, text in enumerate(("a: 1", "b: 1"), 1):
            path.write_text(text)
            await until(lambda count=count: len(watched.failures) == count)
    assert [problems[0].path for problems in watched.failures] == ["a", "b"]


async def test_the_last_good_policy_that_returns_is_told(tmp_path: Path) -> None:
    """So that whoever noted the failure learns of its end."""
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    watched = Watched(path)
    watched.file.load()
    async with watched.running():
        path.write_text("a: 1")
        await until(lambda: watched.file.failing)
        path.write_text(GOOD.format("one"))
        await until(lambda: watched.policies == ["one"])
    assert not watched.file.failing


async def test_a_policy_cut_short_by_a_write_under_way_is_never_in_force(tmp_path: Path) -> None:
    """Its first rules alone would be a policy: one without the deny at the end."""
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    watched = Watched(path)
    watched.file.load()
    denies = (f"  - {{name: d{i}, effect: deny, match: {{models: [m{i}]}}}}\n" for i in range(8))
    async with watched.running():
        with path.open("w") as file:
            for text in (GOOD.format("two"), *denies):
                file.write(text)
                file.flush()
                await asyncio.sleep(POLL_SECONDS * 0.6)
                assert watched.policies == []
        await until(lambda: watched.policies == ["two"])


def test_a_policy_that_is_being_written_at_the_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    denies = [f"  - {{name: d{i}, effect: deny, match: {{models: [m{i}]}}}}\n" for i in range(3)]
    writes = iter(denies)

    def sleep(seconds: float) -> None:
        assert seconds == POLL_SECONDS
        with path.open("a") as file:
            file.write(next(writes, ""))

    monkeypatch.setattr("time.sleep", sleep)
    watched = Watched(path)
    assert [rule.name for rule in watched.file.load().rules] == ["a", "d0", "d1", "d2"]
    assert not watched.file.failing


def test_a_file_that_does_not_cease_to_change_is_none_to_start_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    monkeypatch.setattr("time.sleep", lambda _: path.write_text(path.read_text() + "#\n"))
    watched = Watched(path)
    with pytest.raises(PolicyInvalid, match="does not cease to change"):
        watched.file.load()
    assert watched.file.failing


async def test_a_start_with_a_bad_file_raises_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    watched = Watched(path)
    with pytest.raises(PolicyInvalid) as invalid:
        watched.file.load()
    assert "no such file" in invalid.value.problems[0].message
    assert watched.file.failing
    async with watched.running():
        await settle()
        assert watched.failures == []
        path.write_text(GOOD.format("one"))
        await until(lambda: watched.policies == ["one"])


async def test_the_longest_wait_is_kept_at_reload(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD.format("one"))
    watched = Watched(path, Fitness(max_wait_seconds=10))
    watched.file.load()
    rule = "  - {name: h, effect: hold, match: {}, hold: {approvers: [a], wait: 11s, expire: 1h}}\n"
    async with watched.running():
        path.write_text(GOOD.format("two") + rule)
        await until(lambda: watched.file.failing)
    assert watched.policies == []


def test_a_deployment_without_mask_keys_has_no_tokens(tmp_path: Path, put: Any, minimal: dict[str, Any]) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text(GOOD.format("one").replace("rules:", "masking: {styles: {pan: token}}\nrules:", 1))
    bare = load_settings(put(minimal))
    keyed = load_settings(put({**minimal, "mask_keys": [{"id": "k1", "file": "secrets/mask.key"}]}))
    assert load_policy(path, Fitness.of(keyed)).name == "one"
    with pytest.raises(PolicyInvalid, match=r"masking.styles.pan: `token` needs a key"):
        load_policy(path, Fitness.of(bare))
