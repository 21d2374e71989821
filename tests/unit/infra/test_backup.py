"""Encrypted files, and a backup as a folder or one file that is whole or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.clickhouse.archive.layout import ArchiveError
from infra.backup import layout
from infra.backup.secrets import seal, unseal
from quantum.errors import ConfigurationError

PASSPHRASE = "twelve or more"
EMPTY = layout.Manifest(format=layout.FORMAT, revision="r", created="now", cluster="one", partitions=4, running=[], files={})


def test_a_sealed_file_is_opened_by_its_passphrase_and_name_alone() -> None:
    sealed = seal(".env", b"A=b\n", PASSPHRASE)
    assert b"A=b" not in sealed
    assert sealed != seal(".env", b"A=b\n", PASSPHRASE)
    assert unseal(".env", sealed, PASSPHRASE) == b"A=b\n"
    for name, data, passphrase in ((".env", sealed, PASSPHRASE + "!"), ("users", sealed, PASSPHRASE), (".env", b"A=b\n", PASSPHRASE)):
        with pytest.raises(ConfigurationError, match=name):
            unseal(name, data, passphrase)
    with pytest.raises(ConfigurationError, match="too short"):
        seal(".env", b"", "short")


def filled(folder: Path) -> Path:
    layout.begin(folder, "one")
    for name in (f"{layout.HISTORY}/{layout.MANIFEST}", layout.REGISTRY, layout.LISTING, layout.TOPICS):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_backup_is_whole_only_at_its_end(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    with pytest.raises(RuntimeError, match="halfway"), layout.writing(target) as folder:  # noqa: PT012 - what is interrupted is the block
        filled(folder)
        raise RuntimeError("halfway")
    with pytest.raises(ArchiveError), layout.reading(target) as folder:
        layout.check(folder)
    with layout.writing(target) as folder:
        made = layout.end(filled(folder), EMPTY)
    with layout.reading(target) as folder:
        assert layout.check(folder) == made
        assert {path.name for path in folder.iterdir()} == {"history", "registry.json", "registry.zip", "topics.json", "manifest.json"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_damaged_or_missing_is_named(tmp_path: Path) -> None:
    layout.end(filled(tmp_path), EMPTY)
    layout.check(tmp_path)
    (tmp_path / layout.TOPICS).write_text("other")
    with pytest.raises(ArchiveError, match=layout.TOPICS):
        layout.check(tmp_path)
    (tmp_path / layout.TOPICS).unlink()
    with pytest.raises(ArchiveError, match=layout.TOPICS):
        layout.check(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "backup.tar"
    with layout.writing(target) as folder:
        layout.end(filled(folder), EMPTY)
    target.write_bytes(target.read_bytes()[:1500])
    with pytest.raises(ArchiveError), layout.reading(target) as folder:
        layout.check(folder)


def test_a_folder_of_something_else_or_of_another_platform_is_left_alone(tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.txt").write_text("mine")
    with pytest.raises(ArchiveError, match=r"thesis\.txt"):
        layout.begin(strange, "one")
    other = filled(tmp_path / "other")
    layout.end(other, EMPTY)
    with pytest.raises(ArchiveError, match="another platform"):
        layout.begin(other, "two")
    layout.check(other)
