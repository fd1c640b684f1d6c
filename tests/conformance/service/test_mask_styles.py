"""Styles of kinds and directions through Envoy, and whoever knows a card finds its tokens in what the model was sent."""

import re
import subprocess
import sys

PAN, OTHER = "4111 1111 1111 1111", "4242-4242-4242-4242"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: styles
masking:
  profile: pci-pii
  styles: {pan: {request: token, response: numbered}, email: numbered}
rules:
  - {name: analysts, effect: allow, match: {groups: [analysts]}}
"""
TOKEN = re.compile(r"\[PAN_k1_[a-z]{20}\]")


def tokens_of(world, value: str) -> list[str]:
    """What `extproc mask-tokens` says of a value, on its standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "extproc", "mask-tokens", "--config", str(world.guard.config)],
        input=value,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_tokens_reach_the_model_and_numbers_the_client(own_world) -> None:
    world = own_world(policy_text=POLICY, workers=1)
    text = f"first {PAN} of ann@example.com, then {OTHER}, then {PAN}"
    answer = world.stream_text(text, ["4111 11", "11 1111 11", "11 ann@exam", "ple.com 4222", "222222222"])
    assert answer == "[PAN_1] [EMAIL_1] [PAN_2]"
    (seen,) = world.upstream.requests("first ")
    first, second, again = TOKEN.findall(seen.body.decode())
    assert first == again != second
    assert "of [EMAIL_1], then" in seen.body.decode()
    assert tokens_of(world, f"{PAN}\n{OTHER}\n") == [first, second]
    world.chat(f"once more {PAN}")
    assert first in world.upstream.requests("once more")[0].body.decode()
    for secret in (b"4111", b"4242"):
        assert secret not in seen.body
