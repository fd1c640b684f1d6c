from collections.abc import Callable

import pytest

from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings


@pytest.fixture(scope="session")
def make_masker() -> Callable[[], Masker]:
    """A new masker of the default policy at each call."""
    return Scanner(MaskingSettings()).masker
