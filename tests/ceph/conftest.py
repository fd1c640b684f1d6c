"""A Ceph cluster for the session, and a small audit log to put into it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from extproc.audit.settings import S3Store
from tests.audit.conftest import exchange, log  # noqa: F401 - fixtures
from tests.ceph.cluster import ACCESS_KEY, SECRET_KEY, cluster


@pytest.fixture(scope="session")
def ceph_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(Path(tmp_path_factory.mktemp("ceph"))) as made:
        yield made.url


@pytest.fixture
def raw(ceph_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return boto3.client("s3", endpoint_url=ceph_url, region_name="us-east-1")


@pytest.fixture
def make(raw, ceph_url: str) -> Callable[..., S3Store]:
    def make_bucket(name: str, *, lock: bool = True) -> S3Store:
        raw.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return S3Store(name, endpoint_url=ceph_url, region="us-east-1")

    return make_bucket
