"""The keys that sign tokens: announced before they sign, published until no token of theirs lives, erased then."""

import os
from pathlib import Path

import pytest

from extproc.console.token_keys import LEEWAY_SECONDS, TokenKeys, TokenKeysUnfit
from extproc.edge.settings_console import MAX_TOKEN_SECONDS, TokenSettings

SETTINGS = TokenSettings("https://c", "extproc", rotate_seconds=10_000, announce_seconds=1_000)
AFTER = MAX_TOKEN_SECONDS + LEEWAY_SECONDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(folder: Path) -> TokenKeys:
    made = TokenKeys(folder, SETTINGS)
    made.tend(0.0)
    return made


def test_the_first_key_signs_at_once_and_only_its_owner_reads_it(keys: TokenKeys, folder: Path) -> None:
    assert keys.signing(0.0) in keys.published(0.0)
    (file,) = folder.glob("token-*.pem")
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "private" not in repr(keys.signing(0.0))


def test_the_next_key_is_published_before_it_signs(keys: TokenKeys) -> None:
    first = keys.signing(0.0)
    assert keys.tend(8_999.0) is None
    second = keys.tend(9_000.0)
    assert second is not None
    assert second.signs_from == 10_000
    assert keys.published(9_000.0) == (first, second)
    assert keys.signing(9_999.0) == first
    assert keys.signing(10_000.0) == second
    assert keys.tend(9_500.0) is None


def test_an_old_key_is_published_until_its_last_token_is_over(keys: TokenKeys, folder: Path) -> None:
    first, second = keys.signing(0.0), keys.tend(9_000.0)
    assert keys.published(10_000.0 + AFTER) == (first, second)
    assert keys.published(10_001.0 + AFTER) == (second,)
    keys.tend(10_001.0 + AFTER)
    assert len(list(folder.glob("token-*.pem"))) == 1


def test_a_console_that_was_away_announces_before_it_signs_anew(keys: TokenKeys) -> None:
    second = keys.tend(50_000.0)
    assert second is not None
    assert second.signs_from == 51_000


def test_a_rotation_by_hand_is_announced_and_not_repeated(keys: TokenKeys) -> None:
    second = keys.rotate(100.0)
    assert second.signs_from == 1_100
    assert keys.rotate(200.0) == second
    assert keys.rotate(1_200.0).signs_from == 2_200


def test_a_compromised_key_is_gone_at_once(keys: TokenKeys, folder: Path) -> None:
    first = keys.signing(0.0)
    fresh = keys.replace_all(100.0)
    assert keys.signing(100.0) == fresh != first
    assert keys.published(100.0) == (fresh,)
    assert len(list(folder.glob("token-*.pem"))) == 1


def test_what_another_process_does_counts_at_once(keys: TokenKeys, folder: Path) -> None:
    other = TokenKeys(folder, SETTINGS)
    assert other.signing(0.0).kid == keys.signing(0.0).kid
    assert keys.tend(9_000.0) in other.published(9_000.0)
    assert other.tend(9_000.0) is None


def test_a_key_that_others_may_read_or_that_is_another_is_not_used(keys: TokenKeys, folder: Path) -> None:
    (file,) = folder.glob("token-*.pem")
    file.chmod(0o640)
    with pytest.raises(TokenKeysUnfit, match="0600"):
        TokenKeys(folder, SETTINGS).signing(0.0)
    file.chmod(0o600)
    renamed = file.with_name(f"token-0000000000-{'0' * 32}.pem")
    os.rename(file, renamed)
    with pytest.raises(TokenKeysUnfit, match="another key"):
        TokenKeys(folder, SETTINGS).signing(0.0)
    renamed.write_bytes(b"-----BEGIN PRIVATE KEY-----\nsecret\n")
    with pytest.raises(TokenKeysUnfit) as unfit:
        TokenKeys(folder, SETTINGS).signing(0.0)
    assert "secret" not in str(unfit.value)
    assert unfit.value.__cause__ is None


def test_without_a_key_nothing_signs(tmp_path: Path) -> None:
    with pytest.raises(TokenKeysUnfit):
        TokenKeys(tmp_path, SETTINGS).signing(0.0)
