"""Keys that are given to read, as Kubernetes mounts a Secret; a rendered pod does the same in `tests/helm`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extproc.audit.keys import given
from extproc.audit.keys.keys import AuditKeys, locked, read_secret
from extproc.audit.refusal import AuditRefused
from extproc.cli.main import main
from extproc.edge.key_inventory import key_facts
from extproc.edge.settings_file import load_settings
from tests.audit.configured import write_config
from tests.edge.mounted_secret import MountedSecret

Given = Callable[..., Path]


@pytest.fixture
def give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """Mounts files; who runs the tests may be root, to whom every folder is writable, so it is said not to be."""
    mounted: set[Path] = set()
    access = os.access
    monkeypatch.setattr(given.os, "access", lambda path, mode: Path(path) not in mounted and access(path, mode))

    def mount(files: dict[str, bytes], mode: int = 0o440, name: str = "mounted") -> Path:
        secret = MountedSecret(tmp_path / name)
        secret.write(**{name.replace(".", "_", 1): content for name, content in files.items()})
        for path in (secret.folder / "..data").resolve().iterdir():
            path.chmod(mode)
        mounted.add(secret.folder)
        return secret.folder

    return mount


def made(folder: Path, *more: str) -> dict[str, bytes]:
    ran = CliRunner().invoke(main, ["audit", "make-keys", str(folder), *more])
    assert ran.exit_code == 0, ran.output
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_keys_of_a_secret_are_used_and_nothing_is_written(tmp_path: Path, give: Given) -> None:
    files = made(tmp_path / "made")
    folder = give(files)
    before = everything(folder)
    keys = AuditKeys.load_or_create(folder)
    assert sorted(fact.purpose for fact in keys.facts) == ["content", "signing"]
    assert everything(folder) == before
    assert set(files) == {"content.key", "deployment.key", "deployment.pub", "keys.json"}


def test_what_others_may_read_is_refused_in_a_secret_too(tmp_path: Path, give: Given) -> None:
    folder = give(made(tmp_path / "made"), 0o444)
    with pytest.raises(AuditRefused, match="must have mode 0440 or 0400"):
        AuditKeys.load_or_create(folder)


def test_in_a_folder_of_ones_own_nothing_of_this_is_allowed(tmp_path: Path) -> None:
    made(tmp_path / "made")
    key = tmp_path / "made" / "content.key"
    key.chmod(0o440)
    with pytest.raises(AuditRefused, match="must have mode 0600"):
        read_secret(key)
    key.chmod(0o600)
    (tmp_path / "made" / "link.key").symlink_to(key)
    with pytest.raises(AuditRefused):
        read_secret(tmp_path / "made" / "link.key")


def test_an_empty_secret_says_what_belongs_there(give: Given) -> None:
    with pytest.raises(AuditRefused, match="put what `extproc audit make-keys` makes into its Secret"):
        AuditKeys.load_or_create(give({"nothing.txt": b""}))


@pytest.mark.parametrize("lost", ["created_ms", "content", "all"])
def test_a_key_whose_age_is_not_known_is_refused(tmp_path: Path, give: Given, lost: str) -> None:
    """Its file says when it was mounted, and so it would never come to the end of its cryptoperiod."""
    files = made(tmp_path / "made")
    register: dict[str, Any] = json.loads(files["keys.json"])
    register.pop(lost, None)
    files["keys.json"] = json.dumps(register).encode()
    if lost == "all":
        del files["keys.json"]
    with pytest.raises(AuditRefused, match="does not know every key that is used here"):
        AuditKeys.load_or_create(give(files))


def test_the_other_keys_are_in_the_register_when_they_are_named(tmp_path: Path, give: Given) -> None:
    config = write_config(tmp_path)
    settings = load_settings(config)
    unnamed = give(made(tmp_path / "made"))
    with pytest.raises(AuditRefused, match="does not know every key"):
        key_facts(settings_at(config, unnamed), AuditKeys.load_or_create(unnamed))
    folder = give(made(tmp_path / "made", "--digest-key", str(settings.digest_key_file)), name="again")
    facts = key_facts(settings_at(config, folder), AuditKeys.load_or_create(folder))
    assert sorted(fact.purpose for fact in facts) == ["content", "digest", "signing"]


def settings_at(config: Path, keys: Path) -> Any:
    document = json.loads(json.dumps(load_document(config)))
    document["audit"]["keys"] = str(keys)
    config.write_text(json.dumps(document))
    return load_settings(config)


def load_document(config: Path) -> Any:
    import yaml

    return yaml.safe_load(config.read_text("utf-8"))


def test_made_keys_stay_and_the_words_say_where_they_belong(tmp_path: Path) -> None:
    first = made(tmp_path / "made")
    ran = CliRunner().invoke(main, ["audit", "make-keys", str(tmp_path / "made")])
    assert {name: (tmp_path / "made" / name).read_bytes() for name in first} == first
    assert f"--from-file={tmp_path / 'made' / 'deployment.key'}" in ran.output
    assert first["deployment.key"].hex() not in ran.output
    with locked(tmp_path / "made"):
        pass


def test_of_a_kms_key_only_its_public_half_is_in_the_secret(tmp_path: Path) -> None:
    public = made(tmp_path / "other")["deployment.pub"]
    (tmp_path / "kms.pub").write_bytes(public)
    files = made(tmp_path / "made", "--public-key", str(tmp_path / "kms.pub"))
    assert (set(files), files["deployment.pub"]) == ({"deployment.pub", "keys.json"}, public)
