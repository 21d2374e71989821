"""The topics of an application: created where they are its own, checked where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mode.utils.times import want_seconds

from processors.runtime.api.topics import Topic
from processors.runtime.epochs.order import order_topic
from processors.runtime.kafka.cluster import Cluster, Needed
from processors.runtime.state.table import Table
from quantum.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.runtime.api.app import App


def provide(app: App, cluster: Cluster, tables: Sequence[Table], topics: dict[str, Topic], declared: dict[str, Topic]) -> dict[str, int]:
    """Return how many partitions each topic has that an application reads, writes aside or keeps its tables in; create what is missing.

    Parameters
    ----------
    app
        The application.
    cluster
        Where the topics are.
    tables
        Its tables.
    topics
        What its agents read, by name.
    declared
        What else it declares, by name.

    Raises
    ------
    ConfigurationError
        A topic is missing that is not the application's own, or the numbers of partitions do not fit together.
    """
    conf, options = app.conf, app.runtime
    first = min(topics, default="")
    every = {**declared, **topics}
    own = {name for name, topic in every.items() if topic.internal or name in declared}
    counts = cluster.ensure([_needed(name, topic, conf.topic_partitions) for name, topic in every.items() if name not in own])
    together = tables or options.order_log
    beside = min(topics.keys() - own, default="") if together else ""
    counts = cluster.ensure([_needed(name, topic, conf.topic_partitions, beside) for name, topic in every.items() if name in own])
    more = [Needed(options.dead_letters(name), like=name) for name in topics]
    if options.order_log:
        more.append(Needed(order_topic(conf.id), like=first))
    for table in tables:
        config = [("cleanup.policy", "compact"), *((key, str(value)) for key, value in table.extra_topic_configs.items())]
        more.append(Needed(table.changelog_topic_name, table.partitions or 0, first, config=tuple(config)))
    counts = {**counts, **cluster.ensure(more)}
    _check(app, tables, topics, counts)
    return counts


def _check(app: App, tables: Sequence[Table], topics: dict[str, Topic], counts: dict[str, int]) -> None:
    beside = [table.changelog_topic_name for table in tables]
    if app.runtime.order_log:
        beside.append(order_topic(app.conf.id))
    relevant = {name: counts[name] for name in [*sorted(topics), *beside]}
    if beside and len(set(relevant.values())) > 1:
        raise ConfigurationError(
            f"the topics of an application with tables or an order log must have equally many partitions: {relevant}",
            "give the topics that differ the same number of partitions, or put their agents into an application of their own",
        )


def _needed(name: str, topic: Topic, default_partitions: int | None, beside: str = "") -> Needed:
    """Return what a topic must be; one of the application's own without a number gets that of the topic ``beside`` it."""
    config = [(key, str(value)) for key, value in (topic.config or {}).items()]
    if topic.compacting:
        config.append(("cleanup.policy", "compact,delete" if topic.deleting else "compact"))
    if topic.retention:
        config.append(("retention.ms", str(int(want_seconds(topic.retention) * 1000))))
    if beside and topic.partitions in (None, default_partitions):
        return Needed(name, like=beside, replicas=topic.replicas or 0, config=tuple(config))
    return Needed(name, topic.partitions or default_partitions or 0, replicas=topic.replicas or 0, config=tuple(config))
