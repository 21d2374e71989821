"""What a schema registry has answered, on disk, for a process that starts while the registry is away."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: a schema and its id, and the subject where that was asked for.

    Attributes
    ----------
    digest : str
        SHA-256 of the rest: an entry that a crash of the machine has left half written is not believed.
    """

    subject: str
    id: int
    schema: str
    digest: str


class SchemaCache:
    """Answers of one registry. Any number of processes may use a folder at once: files are replaced whole.

    A schema keeps its id for ever, so an entry never becomes wrong while the registry keeps its data. The registry is asked first all the
    same, and what it answers replaces an entry: one that was emptied gives its ids anew.

    Parameters
    ----------
    folder
        Folder of the caches of all registries; made when there is something to keep.
    url
        The registry.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder / _digest(url)[:16]

    def text(self, schema_id: int) -> str | None:
        """Return the text of a schema, or None where it is not kept."""
        entry = self._read(self._by_id(schema_id))
        return entry.schema if entry is not None and entry.id == schema_id else None

    def keep_text(self, schema_id: int, schema: str) -> None:
        """Keep the text of a schema."""
        self._write(self._by_id(schema_id), "", schema_id, schema)

    def id_under(self, subject: str, schema: str) -> int | None:
        """Return the id of a schema under a subject, or None where it is not kept."""
        entry = self._read(self._by_subject(subject, schema))
        return entry.id if entry is not None and (entry.subject, entry.schema) == (subject, schema) else None

    def keep_id(self, subject: str, schema: str, schema_id: int) -> None:
        """Keep the id of a schema under a subject."""
        self._write(self._by_subject(subject, schema), subject, schema_id, schema)

    def _by_id(self, schema_id: int) -> Path:
        return self._folder / f"id-{schema_id}.json"

    def _by_subject(self, subject: str, schema: str) -> Path:
        return self._folder / f"subject-{_digest(subject, schema)}.json"

    def _read(self, path: Path) -> _Entry | None:
        try:
            entry = msgspec.json.decode(path.read_bytes(), type=_Entry)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s is left out: %s", path, error)
            return None
        if entry.digest != _digest(entry.subject, str(entry.id), entry.schema):
            log.warning("%s is left out: its content is not what was written", path)
            return None
        return entry

    def _write(self, path: Path, subject: str, schema_id: int, schema: str) -> None:
        """Write an entry; a disk that is full or not ours costs the entry only, the registry has answered."""
        entry = _Entry(subject=subject, id=schema_id, schema=schema, digest=_digest(subject, str(schema_id), schema))
        data = msgspec.json.encode(entry)
        aside = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            if path.exists() and path.read_bytes() == data:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(data)
            aside.replace(path)
        except OSError as error:
            with suppress(OSError):
                aside.unlink()
            log.warning("%s cannot be kept, a restart will need the registry for it: %s", path, error)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
