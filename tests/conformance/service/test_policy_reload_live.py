"""A running service whose policy is swapped as a ConfigMap is, under traffic: what is in force, and what each record says."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from click.testing import CliRunner

from extproc.cli.policy import command

TESTS = """
tests:
  - name: analysts are allowed
    now: 2026-11-28T10:00:00Z
    principal: {subject: anna, groups: [analysts]}
    request: {path: /v1/completions, body: {model: m, prompt: Hello}}
    expect: {effect: allow}
"""


def swap(path: Path, text: str, number: int) -> None:
    """As kubelet does: a new folder, and `..data` renamed over the old link."""
    target = path.parent / f"..{number}"
    target.mkdir()
    (target / path.name).write_text(text)
    (path.parent / "..data_tmp").symlink_to(target.name)
    (path.parent / "..data_tmp").replace(path.parent / "..data")
    if not path.is_symlink():
        (path.parent / "link").symlink_to(f"..data/{path.name}")
        (path.parent / "link").replace(path)


def status(world, *more: str) -> tuple[int, list[str]]:
    ran = CliRunner().invoke(command, ["status", "--config", str(world.guard.config), *more])
    return ran.exit_code, ran.output.splitlines()


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_a_config_map_is_swapped_under_traffic(own_world) -> None:
    """Each exchange has one digest in all its records; a policy whose own tests fail never decides anything."""
    world = own_world(workers=2)
    path = world.guard.settings.policy_file
    good = [path.read_text() + TESTS + f"# {number}\n" for number in range(2)]
    bad = good[0].replace("expect: {effect: allow}", "expect: {effect: deny}")
    stopping = threading.Event()

    def talk(number: int) -> int:
        done = 0
        while not stopping.wait(0.03):
            assert world.chat(f"talk {number}", pieces=["a ", "b "], stream=True).status_code == 200
            done += 1
        return done

    with ThreadPoolExecutor(2) as pool:
        talking = [pool.submit(talk, number) for number in range(2)]
        try:
            for number, text in enumerate(good):
                swap(path, text, number)
                code, lines = status(world, "--wait", "20")
                assert (code, lines[0], lines[-1]) == (0, f"{path}: {digest_of(text)}", "in force in 2 of 2 workers")
            swap(path, bad, 9)
            world.await_record(lambda r: r["event_code"] == "control.failure")
            code, lines = status(world)
            while not any("fails" in line for line in lines):
                time.sleep(0.1)  # a worker says what it refuses once a second
                code, lines = status(world)
            assert (code, lines[-1]) == (1, "in force in 0 of 2 workers")
            refused = next(line for line in lines if "fails" in line)
            assert refused.endswith("the case `analysts are allowed` fails: effect: expected deny, is allow")
        finally:
            stopping.set()
        assert all(one.result() for one in talking)
    digests: dict[str, set[str]] = {}
    for record in world.records():
        if record.get("exchange_id"):
            digests.setdefault(record["exchange_id"], set()).add(record["policy"]["digest"])
    assert all(len(each) == 1 for each in digests.values())
    seen = set().union(*digests.values())
    assert digest_of(good[-1]) in seen
    assert digest_of(bad) not in seen
    assert status(world, "--wait", "0")[0] == 1
    swap(path, good[0], 10)
    assert status(world, "--wait", "20")[0] == 0
    world.await_record(lambda r: r["event_code"] == "control.restored")
