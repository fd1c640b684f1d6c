"""What a refusal of S3 means; of its text nothing goes on."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from extproc.audit.stores.s3_wire import Conflict, Taken, failure
from extproc.audit.stores.store import Fault, StoreFailed


def refused(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "fault", "words"),
    [
        (refused("AccessDenied"), Fault.DENIED, "AccessDenied"),
        (refused("403"), Fault.DENIED, "403"),
        (refused("AccessDenied", "no identity allows kms:GenerateDataKey"), Fault.KEY, "AccessDenied"),
        (refused("KMS.DisabledException"), Fault.KEY, "KMS.DisabledException"),
        (refused("RequestTimeTooSkewed"), Fault.CLOCK, "the clock differs from the store's"),
        (refused("SlowDown"), Fault.BUSY, "SlowDown"),
        (refused("InternalError"), Fault.BUSY, "InternalError"),
        (refused("NoSuchBucket"), Fault.OTHER, "NoSuchBucket"),
        (refused("4111 1111 1111 1111\n"), Fault.OTHER, "unknown"),
        (refused("x" * 65), Fault.OTHER, "unknown"),
        (refused(""), Fault.OTHER, "unknown"),
        (EndpointConnectionError(endpoint_url="http://user:secret@x"), Fault.UNREACHABLE, "EndpointConnectionError"),
        (ReadTimeoutError(endpoint_url="http://x"), Fault.UNREACHABLE, "ReadTimeoutError"),
        (NoCredentialsError(), Fault.DENIED, "NoCredentialsError"),
    ],
)
def test_a_failure_has_a_cause_and_no_text_from_outside(error, fault, words):
    found = failure(error)
    assert isinstance(found, StoreFailed)
    assert (found.fault, str(found)) == (fault, words)


def test_taken_and_conflict_are_no_failures_of_the_store():
    assert isinstance(failure(refused("PreconditionFailed")), Taken)
    assert isinstance(failure(refused("ConditionalRequestConflict")), Conflict)
    assert isinstance(failure(refused("NoSuchVersion")), FileNotFoundError)
