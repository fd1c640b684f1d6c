"""What a test does in the network of a pod leaves nothing of the test's own process behind in it."""

import subprocess
import sys

CALLS_INSIDE = """
import os, subprocess
from tests.helm.network import Network
import grpc

home, network = os.readlink("/proc/thread-self/ns/net"), Network()
with network.entered():
    assert os.readlink("/proc/thread-self/ns/net") != home
    channel = grpc.insecure_channel("127.0.0.1:1")
    try:
        grpc.channel_ready_future(channel).result(0.2)
    except grpc.FutureTimeoutError:
        pass
    subprocess.run(["true"], user=os.getuid(), check=True)  # forks, as other users' processes do
assert os.readlink("/proc/thread-self/ns/net") == home
for task in os.listdir("/proc/self/task"):
    with open(f"/proc/self/task/{task}/comm") as file:
        name = file.read().strip()
    print(name, os.readlink(f"/proc/self/task/{task}/ns/net") == home)
"""


def test_grpc_stays_outside() -> None:
    """Its threads serve every later call of the process: in a pod's network they would find nobody of the next test's."""
    command = [sys.executable, "-c", CALLS_INSIDE]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    threads = [line.split() for line in ran.stdout.splitlines() if line.startswith(("event_engine", "lifeguard"))]
    assert len(threads) >= 2
    assert {where for _, where in threads} == {"True"}
