"""A platform of a backup.

Everything is checked first: the files against their checksums, the passphrase, the home. Then, in this order: schemas with their
ids, topics with their settings, what a person decided at its own offsets, the history (for which every other topic is made
to begin behind the rows that it has, so that the sink goes on without a hole or a double), artefacts, secrets. A restore that
is interrupted may be repeated: a mark in the home says that what is there came of this backup.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from connectors.clickhouse.archive.export import Progress
from connectors.clickhouse.archive.layout import Archive, read, sha256_of, write
from connectors.clickhouse.archive.load import Importer
from connectors.clickhouse.client import connect
from connectors.clickhouse.migrate import LEDGER
from connectors.clickhouse.tables import DATABASE
from connectors.kafka.logs import Logs
from connectors.kafka.placement import LogWriter
from connectors.kafka.topics import TopicSpec, apply, prepare_coordinators
from connectors.registry.transfer import Listing, Transfer
from infra.backup import layout, records
from infra.backup.backup import copy_models
from infra.backup.secrets import unseal
from infra.clickhouse.generate import carried
from infra.components.history import GROUP
from ml.artefacts import ArtefactStore
from processors.contracts import apply_tables
from quantum.errors import ConfigurationError, DependencyError
from quantum.settings import Settings

MARK = "restore.json"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did.

    Attributes
    ----------
    source : str
        The backup.
    rows : int
        Rows of the history.
    subjects, topics, records, models : int
        Subjects of the registry, topics, records of what a person decided, artefacts.
    advanced : int
        Partitions of topics that were made to begin behind the history.
    secrets : list of str
        Files that were decrypted.
    """

    source: str
    rows: int
    subjects: int
    topics: int
    records: int
    models: int
    advanced: int
    secrets: list[str]


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Says in a home that a backup is being restored into it: SHA-256 of the backup's manifest."""

    manifest: str


class Restore:
    """A restore.

    Parameters
    ----------
    settings
        The home, whose servers run.
    folder
        The backup.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._logs = Logs(settings.kafka)
        self._manifest = layout.check(folder)
        history = Archive(folder / layout.HISTORY)
        history.verify()
        self._history = history
        self._topics = read(folder / layout.TOPICS, layout.Topics).topics
        self._listing = read(folder / layout.LISTING, Listing)
        self._mark = settings.folders.root / MARK

    def secrets(self) -> list[str]:
        """Return the names of the encrypted files."""
        return sorted(path.name for path in (self._folder / layout.SECRETS).glob("*"))

    def unsealed(self, passphrase: str) -> dict[str, bytes]:
        """Return the encrypted files' bytes; raises ConfigurationError where the passphrase is another one."""
        return {name: unseal(name, (self._folder / layout.SECRETS / name).read_bytes(), passphrase) for name in self.secrets()}

    def obstacles(self) -> list[str]:
        """Return why this backup cannot be restored into the home as it is; nothing where it is empty."""
        if self._settings.partitions != self._manifest.partitions:
            raise ConfigurationError(
                f"the backup's topics have {self._manifest.partitions} partitions, QUANTUM_PARTITIONS is {self._settings.partitions}",
                f"set QUANTUM_PARTITIONS={self._manifest.partitions}",
            )
        found = []
        if running := self._logs.readers(self._topics):
            found.append(f"something reads its topics: {', '.join(sorted(running))}")
        if self._resumed():
            return found
        counts = self._logs.partitions()
        places = [(topic, partition) for topic in self._topics for partition in range(counts.get(topic, 0))]
        used = sorted({topic for (topic, _), bounds in self._logs.bounds(places).items() if bounds.end > 0})
        if used:
            found.append(f"topics hold records: {', '.join(used)}")
        if subjects := Transfer(self._settings.registry).subjects():
            found.append(f"the registry has {len(subjects)} subjects")
        if tables := self._tables_with_rows():
            found.append(f"tables have rows: {', '.join(tables)}")
        if models := ArtefactStore(self._settings.folders.models).list():
            found.append(f"there are {len(models)} artefacts of models")
        return found

    def run(self, progress: Progress, tell: Callable[[str], None]) -> Restored:
        """Restore everything but the secrets.

        Parameters
        ----------
        progress
            Told how far the history is.
        tell
            Told what is done, a line each.

        Raises
        ------
        QuantumError
            A server does not answer, or somebody else uses the home: repeat it.
        """
        write(self._mark, _Mark(manifest=sha256_of(self._folder / layout.MANIFEST)))
        self._registry()
        tell(f"{len(self._listing.subjects)} subjects with their ids")
        written = self._records()
        tell(f"{len(self._topics)} topics, {written} records of policy and models")
        apply_tables(self._settings)
        with closing(connect(self._settings)) as client:
            importer = Importer(client, self._history, self._logs, GROUP, same=frozenset(records.TOPICS))
            done = importer.run(carried(), "", "", progress)
        tell(f"{sum(done.rows.values()):,} rows of history")
        models = copy_models(ArtefactStore(self._folder / layout.MODELS), ArtefactStore(self._settings.folders.models))
        return Restored(
            source=str(self._folder),
            rows=sum(done.rows.values()) + sum(done.present.values()),
            subjects=len(self._listing.subjects),
            topics=len(self._topics),
            records=written,
            models=models,
            advanced=done.advanced,
            secrets=self.secrets(),
        )

    def end(self) -> None:
        """Take the mark away: the home is a platform like any other now."""
        self._mark.unlink()

    def _resumed(self) -> bool:
        return self._mark.exists() and read(self._mark, _Mark).manifest == sha256_of(self._folder / layout.MANIFEST)

    def _tables_with_rows(self) -> list[str]:
        with closing(connect(self._settings, database="default")) as client:
            sql = (
                "SELECT name FROM system.tables WHERE database = {database:String} AND total_rows > 0 "
                "AND database || '.' || name != {ledger:String} ORDER BY name"
            )
            return [str(row[0]) for row in client.query(sql, parameters={"database": DATABASE, "ledger": LEDGER}).result_rows]

    def _registry(self) -> None:
        registry = Transfer(self._settings.registry)
        if not registry.subjects():
            registry.load((self._folder / layout.REGISTRY).read_bytes())
        if registry.listing() != self._listing:
            raise DependencyError(
                f"the registry at {self._settings.registry} does not say what the backup's says", "restore into an empty home"
            )

    def _records(self) -> int:
        """Create the topics, and write what a person decided; where an earlier try has begun with a topic, it is made anew."""
        wanted = [TopicSpec(name, topic.partitions, self._settings.replication, topic.settings) for name, topic in self._topics.items()]
        apply(self._settings.kafka, wanted)
        prepare_coordinators(self._settings.kafka)
        topics = [topic for topic in records.TOPICS if topic in self._topics]
        places = [(topic, partition) for topic in topics for partition in range(self._topics[topic].partitions)]
        begun = sorted({topic for (topic, _), bounds in self._logs.bounds(places).items() if bounds.end > 0})
        if begun:
            self._logs.delete(begun)
            apply(self._settings.kafka, wanted)
        writer = LogWriter(self._logs)
        return sum(records.restore(writer, topic, records.file(self._folder, topic)) for topic in topics)
