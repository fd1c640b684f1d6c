"""Credential and digest-key files: what is taken, what is refused, and that nothing of them is ever quoted."""

import os
from pathlib import Path

import pytest

from extproc.edge.settings_file import SettingsInvalid, read_credential, read_digest_key


@pytest.mark.parametrize("content", [b"s3cret-key", b"s3cret-key\n"])
def test_a_credential_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    secret = read_credential(path)
    assert secret.value == "s3cret-key"
    assert "s3cret" not in repr(secret)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"s3cret\n\n",
        b"s3cret\r\n",
        b"s3\ncret",
        b"s3\rcret",
        b"s3\0cret",
        b"s3cret ",
        b" s3cret",
        b"s3\xffcret",
    ],
)
def test_anything_else_is_refused_without_a_word_of_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SettingsInvalid) as invalid:
        read_credential(path)
    assert invalid.value.problems[0].path == str(path)
    assert "s3" not in invalid.value.problems[0].message
    assert "cret" not in str(invalid.value.problems[0].message)


def test_a_digest_key_is_any_32_bytes_and_keeps_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\0" * 31 + b"\n")
    assert bytes.fromhex(read_digest_key(path).value) == b"\0" * 31 + b"\n"
    path.write_bytes(b"\0" * 31)
    with pytest.raises(SettingsInvalid):
        read_digest_key(path)


def test_a_key_file_is_bounded_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "large").write_bytes(b"a" * (64 * 1024 + 1))
    for path in (pipe, tmp_path / "large", tmp_path / "none", tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsInvalid):
            read_credential(path)
