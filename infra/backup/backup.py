"""A platform into a backup."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from connectors.clickhouse.archive.export import Exporter, Progress
from connectors.clickhouse.archive.layout import Archive, write
from connectors.clickhouse.client import connect
from connectors.kafka.logs import Logs
from connectors.registry.transfer import Transfer
from infra.backup import layout, records
from infra.backup.secrets import seal
from infra.clickhouse.generate import carried
from ml.artefacts import ArtefactStore
from processors.contracts import topic_specs
from quantum.errors import DependencyError
from quantum.revision import revision
from quantum.settings import Settings


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    Attributes
    ----------
    target : str
        Where it is.
    rows, files : int
        Rows of the history, and their files.
    subjects, topics, records, models : int
        Subjects of the registry, topics, records of what a person decided, artefacts.
    secrets : list of str
        Encrypted files.
    running : list of str
        Consumer groups that were at work meanwhile; empty for a platform that stood still.
    """

    target: str
    rows: int
    files: int
    subjects: int
    topics: int
    records: int
    models: int
    secrets: list[str]
    running: list[str]


def backup(settings: Settings, target: Path, secrets: dict[str, bytes], passphrase: str, progress: Progress) -> BackedUp:
    """Back a platform up, which may be running.

    The order makes the parts fit each other: what refers is read before what it refers to. The history is as it was at the beginning,
    the records of topics are later and so hold all that the history has of them, then come the artefacts that the records name, then
    the schemas that they are written in.

    Parameters
    ----------
    settings
        The platform.
    target
        A folder, or a file ``NAME.tar``. A folder that holds a backup already is brought up to date.
    secrets
        Files to be encrypted, by name.
    passphrase
        What opens them.
    progress
        Told how far it is.

    Raises
    ------
    ArchiveError
        The folder holds something else, or a backup of another platform.
    RetryError
        A server does not answer.
    DependencyError
        The target cannot be written.
    """
    try:
        with layout.writing(target) as folder:
            return _backup(settings, folder, target, secrets, passphrase, progress)
    except OSError as error:
        raise DependencyError(f"{target} cannot be written: {error}", "free space, or name another place") from error


def _backup(settings: Settings, folder: Path, target: Path, secrets: dict[str, bytes], passphrase: str, progress: Progress) -> BackedUp:
    sealed = {name: seal(name, data, passphrase) for name, data in secrets.items()}
    logs = Logs(settings.kafka)
    cluster = logs.cluster()
    layout.begin(folder, cluster)
    counts = logs.partitions()
    own = sorted(spec.name for spec in topic_specs(settings) if spec.name in counts)
    running = logs.readers(own)
    tables = carried()
    with closing(connect(settings)) as client:
        exporter = Exporter(client, Archive(folder / layout.HISTORY), cluster, logs.ids([spec.topic for spec in tables]))
        history = exporter.run(tables, "", "", progress)
    written = sum(records.dump(logs, topic, counts[topic], records.file(folder, topic)) for topic in records.TOPICS if topic in counts)
    models = copy_models(ArtefactStore(settings.folders.models), ArtefactStore(folder / layout.MODELS))
    registry = Transfer(settings.registry)
    listing, content = registry.listing(), registry.dump()
    write(folder / layout.LISTING, listing)
    (folder / layout.REGISTRY).write_bytes(content)
    found = logs.settings(own)
    topics = {name: layout.Topic(partitions=counts[name], settings=found[name]) for name in own}
    write(folder / layout.TOPICS, layout.Topics(topics=topics))
    for name, data in sealed.items():
        path = folder / layout.SECRETS / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    layout.end(
        folder,
        layout.Manifest(
            format=layout.FORMAT,
            revision=revision(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            cluster=cluster,
            partitions=settings.partitions,
            running=running,
            files={},
        ),
    )
    return BackedUp(
        target=str(target),
        rows=sum(whole.rows for whole in history.tables.values()),
        files=sum(whole.files for whole in history.tables.values()),
        subjects=len(listing.subjects),
        topics=len(topics),
        records=written,
        models=models,
        secrets=sorted(sealed),
        running=running,
    )


def copy_models(source: ArtefactStore, target: ArtefactStore) -> int:
    """Copy artefacts, each checked against its hash on both sides; returns how many there are."""
    found = source.list()
    for manifest in found:
        target.save(source.load(manifest.model, manifest.version))
    return len(found)
