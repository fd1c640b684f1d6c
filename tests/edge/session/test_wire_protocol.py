"""Our part of the ext_proc protocol against Envoy's own definitions, as `envoy-data-plane` carries them, and regenerated."""

import dataclasses
import importlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from extproc.core.trust import Masked
from extproc.edge.wire import MAX_ANSWER_BYTES, response_body_answers
from extproc.pb import ext_proc_pb2 as ours

ROOT = Path(__file__).parents[3]
# Message here -> module and class in envoy-data-plane.
THEIRS = {
    "ProcessingRequest": ("envoy.service.ext_proc.v3", "ProcessingRequest"),
    "Metadata": ("envoy.config.core.v3", "Metadata"),
    "ProtocolConfiguration": ("envoy.service.ext_proc.v3", "ProtocolConfiguration"),
    "HttpHeaders": ("envoy.service.ext_proc.v3", "HttpHeaders"),
    "HttpBody": ("envoy.service.ext_proc.v3", "HttpBody"),
    "HttpTrailers": ("envoy.service.ext_proc.v3", "HttpTrailers"),
    "ProcessingResponse": ("envoy.service.ext_proc.v3", "ProcessingResponse"),
    "HeadersResponse": ("envoy.service.ext_proc.v3", "HeadersResponse"),
    "BodyResponse": ("envoy.service.ext_proc.v3", "BodyResponse"),
    "TrailersResponse": ("envoy.service.ext_proc.v3", "TrailersResponse"),
    "CommonResponse": ("envoy.service.ext_proc.v3", "CommonResponse"),
    "ImmediateResponse": ("envoy.service.ext_proc.v3", "ImmediateResponse"),
    "HeaderMutation": ("envoy.service.ext_proc.v3", "HeaderMutation"),
    "BodyMutation": ("envoy.service.ext_proc.v3", "BodyMutation"),
    "StreamedBodyResponse": ("envoy.service.ext_proc.v3", "StreamedBodyResponse"),
    "HttpStatus": ("envoy.type.v3", "HttpStatus"),
    "HeaderMap": ("envoy.config.core.v3", "HeaderMap"),
    "HeaderValue": ("envoy.config.core.v3", "HeaderValue"),
    "HeaderValueOption": ("envoy.config.core.v3", "HeaderValueOption"),
}


def import_theirs(module: str) -> Any:
    """The package warns about its own use of pydantic when it is first imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"envoy_data_plane.{module}")


def numbers_of(module: str, name: str) -> dict[str, int]:
    """Field name -> number of a betterproto class."""
    package = import_theirs(module)
    fields: tuple[Any, ...] = dataclasses.fields(getattr(package, name))
    return {field.name: field.metadata["betterproto"].number for field in fields}


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_field_numbers_are_envoys(name: str) -> None:
    theirs = numbers_of(*THEIRS[name])
    mine = {field.name: field.number for field in getattr(ours, name).DESCRIPTOR.fields}
    assert mine
    assert mine.items() <= theirs.items()


def test_every_message_is_compared() -> None:
    assert set(ours.DESCRIPTOR.message_types_by_name) - {"ProcessingMode"} == set(THEIRS)


@pytest.mark.parametrize(
    ("enum", "module", "name"),
    [
        (ours.ProcessingMode.BodySendMode, "envoy.extensions.filters.http.ext_proc.v3", "ProcessingModeBodySendMode"),
        (ours.HeaderValueOption.HeaderAppendAction, "envoy.config.core.v3", "HeaderValueOptionHeaderAppendAction"),
        (ours.CommonResponse.ResponseStatus, "envoy.service.ext_proc.v3", "CommonResponseResponseStatus"),
    ],
)
def test_enum_values_are_envoys(enum: Any, module: str, name: str) -> None:
    package = import_theirs(module)
    theirs = {member.name: int(member.value) for member in getattr(package, name)}
    assert dict(enum.items()).items() <= theirs.items()


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I",
        "proto",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    command += [f"--grpc_python_out={tmp_path}", "proto/extproc/pb/ext_proc.proto"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    for made in (tmp_path / "extproc" / "pb").iterdir():
        assert made.read_bytes() == (ROOT / "extproc" / "pb" / made.name).read_bytes(), "run `make proto`"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])
@pytest.mark.parametrize("end", [True, False])
def test_hand_built_body_answers_parse_back(size: int, end: bool) -> None:
    """The hot path builds these as bytes; they are what protobuf itself would have made."""
    data = Masked(bytes(range(256)) * (size // 256) + bytes(size % 256))
    made = response_body_answers(data, end_of_stream=end)
    parsed = [ours.ProcessingResponse.FromString(message) for message in made]
    streams = [message.response_body.response.body_mutation.streamed_response for message in parsed]
    assert b"".join(stream.body for stream in streams) == data
    assert [stream.end_of_stream for stream in streams] == [False] * (len(streams) - 1) + [end]
    assert all(len(stream.body) <= MAX_ANSWER_BYTES for stream in streams)
    if data:
        assert [message.SerializeToString() for message in parsed] == made
