"""What runs here is known by its digest: any file of the package that is changed, added or moved gives another."""

from pathlib import Path

from extproc.edge.program import digest_file, digest_package, program_name


def test_the_package_has_one_digest() -> None:
    assert digest_package() == digest_package()
    assert digest_package().startswith("sha256:")
    assert program_name().startswith("extproc ")


def test_every_change_of_a_package_is_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    seen = [digest_package(tmp_path)]
    (tmp_path / "a.py").write_text("two")
    seen.append(digest_package(tmp_path))
    (tmp_path / "b.py").touch()
    seen.append(digest_package(tmp_path))
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    seen.append(digest_package(tmp_path))
    assert len(set(seen)) == 4
    (tmp_path / "c.pyc").write_text("compiled")
    assert digest_package(tmp_path) == seen[-1], "what the interpreter leaves is no part of it"


def test_a_file_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    assert digest_file(tmp_path / "missing") == ""
    (tmp_path / "here").write_text("x")
    assert digest_file(tmp_path / "here").startswith("sha256:")
