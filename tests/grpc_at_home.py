"""gRPC's threads serve every call of the process, and stay in the network in which they began: they begin here, outside of
any pod's, and are not begun anew inside of one, as they would be after each fork. Imported before gRPC is used.
"""

import os

NAME = "GRPC_ENABLE_FORK_SUPPORT"
before = os.environ.get(NAME)
os.environ[NAME] = "false"

import grpc  # noqa: E402

kept = grpc.insecure_channel("unix:///nobody")
"""While it lives, the threads do."""

# Read once; what the tests start has its own.
del os.environ[NAME]
if before is not None:
    os.environ[NAME] = before
