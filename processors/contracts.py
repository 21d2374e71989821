"""Topics, subjects and tables brought to what git declares."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from connectors.clickhouse import migrate
from connectors.clickhouse.client import connect
from connectors.kafka.topics import Change, TopicSpec, apply, compare, prepare_coordinators
from connectors.registry.client import Registry
from processors.app import application_id, create_app
from processors.runtime.epochs.order import order_topic
from processors.topology import DAY_MS, REPLAY_MS, STAGES, TOPICS, Topic
from quantum.errors import ConfigurationError
from quantum.settings import Settings
from schemas.codec import ROOT, schema_text
from schemas.evolution import Problem, problems

DEAD_LETTER_RETENTION_MS = 30 * DAY_MS


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Return every topic of the topology, its dead-letter topic, the stages' order logs and changelogs as the broker should have them."""
    out = []
    for topic in TOPICS.values():
        out.append(TopicSpec(topic.name, settings.partitions, settings.replication, _config(topic)))
        config = {"cleanup.policy": "delete", "retention.ms": str(DEAD_LETTER_RETENTION_MS)}
        out.append(TopicSpec(topic.dead_letters, settings.partitions, settings.replication, config))
    kept = {"cleanup.policy": "delete", "retention.ms": str(REPLAY_MS)}
    out += [TopicSpec(order_topic(application_id(stage)), settings.partitions, settings.replication, kept) for stage in STAGES]
    compacted = {"cleanup.policy": "compact"}
    return [*out, *(TopicSpec(name, settings.partitions, settings.replication, compacted) for name in changelogs(settings))]


def changelogs(settings: Settings) -> list[str]:
    """Return the names of the changelogs of all stages' tables."""
    with Registry(settings.registry) as ids:
        apps = [create_app(stage, settings, ids) for stage in STAGES]
    return [table.changelog_topic_name for app in apps for table in app.tables.values()]


def _config(topic: Topic) -> dict[str, str]:
    if topic.state:
        return {"cleanup.policy": "compact", "min.compaction.lag.ms": str(REPLAY_MS)}
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


def compare_topics(settings: Settings) -> list[Change]:
    """Return how the broker differs from the topology."""
    return compare(settings.kafka, topic_specs(settings))


def apply_topics(settings: Settings) -> list[Change]:
    """Bring the broker to the topology; returns what was changed."""
    changed = apply(settings.kafka, topic_specs(settings))
    prepare_coordinators(settings.kafka)
    return changed


@dataclass(frozen=True, slots=True)
class SubjectState:
    """A subject of the registry beside the schema in git.

    Attributes
    ----------
    subject
        Name of the subject.
    registered
        Whether it has the schema.
    compatible
        Whether the schema may follow the versions it has.
    level
        The compatibility level that it has; None where it has none of its own.
    wanted_level
        The compatibility level that it should have.
    problems
        Fields that keep the schema from following the newest version that it has.
    """

    subject: str
    registered: bool
    compatible: bool
    level: str | None
    wanted_level: str
    problems: tuple[Problem, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is to be applied."""
        return self.registered and self.level == self.wanted_level


def check_schemas(registry: Registry, root: Path = ROOT) -> list[SubjectState]:
    """Return each subject's state; nothing is changed.

    Parameters
    ----------
    registry
        The registry.
    root
        Folder of the schemas.
    """
    subjects = set(registry.subjects())
    out = []
    for topic in TOPICS.values():
        text = schema_text(topic.record, root)
        known = topic.subject in subjects
        registered = known and registry.find(topic.subject, text) is not None
        found = [] if registered or not known else problems(json.loads(registry.latest(topic.subject)), json.loads(text))
        compatible = registered or not known or (not found and registry.compatible(topic.subject, text))
        level = registry.level(topic.subject) if known else None
        out.append(SubjectState(topic.subject, registered, compatible, level, topic.compatibility, tuple(found)))
    return out


def apply_schemas(registry: Registry, root: Path = ROOT) -> list[SubjectState]:
    """Register every schema and set every subject's level; returns what was changed.

    Parameters
    ----------
    registry
        The registry.
    root
        Folder of the schemas.

    Raises
    ------
    ConfigurationError
        A schema breaks its subject's compatibility; nothing is registered then.
    """
    states = check_schemas(registry, root)
    refuse_incompatible(states)
    changed = [state for state in states if not state.done]
    texts = {topic.subject: schema_text(topic.record, root) for topic in TOPICS.values()}
    for state in changed:
        if not state.registered:
            registry.register(state.subject, texts[state.subject])
        if state.level != state.wanted_level:
            registry.set_level(state.subject, state.wanted_level)
    return changed


def refuse_incompatible(states: Iterable[SubjectState]) -> None:
    """Raise ConfigurationError, which names the fields, where a schema may not follow what is registered."""
    broken = [state for state in states if not state.compatible]
    if broken:
        fields = [f"{state.subject}: {problem}" for state in broken for problem in state.problems]
        raise ConfigurationError(
            "\n".join([f"incompatible with what is registered: {', '.join(state.subject for state in broken)}", *fields]),
            "give new fields a default, or make it a new topic",
        )


def apply_tables(settings: Settings, folder: Path = migrate.FOLDER) -> list[str]:
    """Bring the history's tables and views to the migrations of a folder; returns the names of those that were applied.

    Raises
    ------
    ConfigurationError
        A migration that was applied has been changed since.
    RetryError
        The history store does not answer.
    """
    client = connect(settings, database="default")
    try:
        return migrate.apply(client, folder)
    finally:
        client.close()
