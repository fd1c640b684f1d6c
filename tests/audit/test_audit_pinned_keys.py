"""What the folder of the keys remembers: which content key wraps, and which public keys there were."""

import json
import logging
import time

import pytest
from click.testing import CliRunner

from extproc.audit.keys import rotation
from extproc.audit.keys.first_keys import first_keys
from extproc.audit.keys.keys import AuditKeys, open_keys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.keys.register import secret_fingerprint
from extproc.audit.keys.rotation import rotate_keys
from extproc.audit.reading.replay import read_transcript
from extproc.audit.refusal import AuditRefused
from extproc.cli.main import main


def pinned(folder) -> list[str]:
    return json.loads((folder / "keys.json").read_bytes())["content"]


class TestContentKey:
    @pytest.fixture
    def swapped(self, shipped, tmp_path):
        """Another deployment's file is in the place of ours."""
        AuditKeys.load_or_create(tmp_path / "others")
        (shipped.settings.keys / "content.key").write_bytes((tmp_path / "others" / "content.key").read_bytes())
        return shipped

    def test_of_another_deployment_starts_nothing_and_is_named(self, swapped, config):
        ours, theirs = (
            secret_fingerprint(key)
            for key in (swapped.keys.content.key, (swapped.settings.keys / "content.key").read_bytes())
        )
        for opened in (first_keys, open_keys, lambda settings: rotate_keys(settings, 1)):
            with pytest.raises(AuditRefused, match=rf"{theirs}\) is another than .* \({ours}\).*put its file back"):
                opened(swapped.settings)
        told = CliRunner().invoke(main, ["audit", "keys", "--config", str(config)])
        assert (told.exit_code, theirs in told.stderr, ours in told.stderr) == (2, True, True)

    def test_of_ours_put_back_goes_on(self, swapped):
        (swapped.settings.keys / "content.key").write_bytes(swapped.keys.content.key)
        assert read_transcript(swapped.look(), first_keys(swapped.settings), "x-1").closed

    def test_that_is_lost_for_good_is_let_go_by_a_person(self, swapped):
        register = swapped.settings.keys / "keys.json"
        document = json.loads(register.read_bytes())
        del document["content"]
        register.write_text(json.dumps(document))
        fresh = first_keys(swapped.settings)
        assert pinned(swapped.settings.keys) == [secret_fingerprint(fresh.content.key)]

    def test_of_a_folder_that_pinned_none_is_pinned_at_the_next_start(self, log):
        register = log.settings.keys / "keys.json"
        register.write_text(json.dumps({"version": 1, "created_ms": {}}))
        first_keys(log.settings)
        assert pinned(log.settings.keys) == [secret_fingerprint(log.keys.content.key)]

    def test_of_a_rotation_is_the_new_one_and_the_one_before_is_refused(self, log):
        rotate_keys(log.settings, int(time.time() * 1000))
        assert pinned(log.settings.keys) == [secret_fingerprint(open_keys(log.settings).content.key)]
        (log.settings.keys / "content.key").write_bytes(log.keys.content.key)
        with pytest.raises(AuditRefused, match="is another than"):
            open_keys(log.settings)

    @pytest.mark.parametrize("replaced", [False, True], ids=["before", "behind"])
    def test_of_a_rotation_that_dies_over_it_is_the_one_that_is_there(self, log, monkeypatch, replaced):
        real = rotation.replace

        def dies(path, data) -> None:
            if replaced:
                real(path, data)
            raise OSError(5, "death")

        monkeypatch.setattr(rotation, "replace", dies)
        with pytest.raises(OSError, match="death"):
            rotate_keys(log.settings, 1)
        there = open_keys(log.settings).content.key
        assert (there == log.keys.content.key) is not replaced
        assert pinned(log.settings.keys) == [secret_fingerprint(there)]


class TestPublicKeys:
    @pytest.fixture
    def rotated(self, log):
        """The second key signs, and nothing was said of it."""
        rotate_keys(log.settings, int(time.time() * 1000))
        first_keys(log.settings)
        return log

    @pytest.fixture
    def said(self, caplog):
        caplog.set_level(logging.WARNING, "extproc.audit")
        return lambda: [record.getMessage() for record in caplog.records if "fewer keys" in record.getMessage()]

    def test_that_are_gone_are_said_at_every_start_until_they_are_back(self, rotated, said):
        public = rotated.settings.keys / PUBLIC_KEY
        whole = public.read_bytes()
        assert said() == []
        public.unlink()
        for starts in (1, 2):
            first_keys(rotated.settings)
            assert len(said()) == starts
        assert "put the missing ones back behind the first" in said()[0]
        assert len(list(load_public_key(public))) == 1
        public.write_bytes(whole)
        first_keys(rotated.settings)
        assert len(said()) == 2
        assert public.read_bytes() == whole

    def test_of_another_key_first_are_never_overwritten(self, rotated, tmp_path):
        AuditKeys.load_or_create(tmp_path / "others")
        public = rotated.settings.keys / PUBLIC_KEY
        public.write_bytes(other := (tmp_path / "others" / PUBLIC_KEY).read_bytes())
        with pytest.raises(AuditRefused, match="names another key"):
            first_keys(rotated.settings)
        assert public.read_bytes() == other

    def test_of_a_rotation_that_was_dropped_are_not_missed(self, log, monkeypatch, said):
        def dies(*_: object) -> None:
            raise OSError(5, "death")

        with monkeypatch.context() as patch:
            patch.setattr(rotation, "put_first", dies)
            with pytest.raises(OSError, match="death"):
                rotate_keys(log.settings, 1)
        assert first_keys(log.settings).signing.public_key() == log.public
        assert said() == []
