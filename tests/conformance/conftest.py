"""What the tests of both folders share: a certificate authority."""

import pytest

from tests.edge.authority import Authority


@pytest.fixture(scope="session")
def make_authority() -> type[Authority]:
    """For an authority that nobody was told to trust."""
    return Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))
