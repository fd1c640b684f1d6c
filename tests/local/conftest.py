"""The scripted model, written once for the folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.local.model_server import RunningModel, start_model
from extproc.local.scripted_model import write_model

MODEL_KEY = "the-model-servers-own-key"


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "scripted.gguf"
    write_model(path)
    return path


@pytest.fixture(scope="session")
def model_key() -> str:
    return MODEL_KEY


@pytest.fixture(scope="session")
def model(model_file: Path, model_key: str) -> Iterator[RunningModel]:
    with start_model(model_file, api_key=model_key) as running:
        yield running
