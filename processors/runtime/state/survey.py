"""What the cluster says of changelogs, and whether a store on disk fits it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from processors.runtime.state.store import Mark
from quantum.errors import RetryError, StopError

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")
Place = tuple[str, int]

_REFUSALS = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})
_WAIT_S = 5.0
_AHEAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Facts:
    """One partition of a changelog.

    Attributes
    ----------
    low, end
        Its first offset, and the one after its last record, as *read_uncommitted* has it.
    topic_id
        Its topic's id.
    retention_s
        How long a deletion stays in it at least (``delete.retention.ms``).
    """

    end: int
    low: int = 0
    topic_id: str = ""
    retention_s: float = 0.0


def distrust(mark: Mark | None, facts: Facts, now: float) -> str:
    """Return why a store on disk cannot be brought up to date from its mark; empty where it can.

    Parameters
    ----------
    mark
        What the store covers.
    facts
        Its changelog.
    now
        Seconds since 1970.
    """
    if mark is None:
        return "nothing is known of its store, or there is none yet"
    if mark.topic_id != facts.topic_id:
        return "its topic was created anew"
    if mark.position > facts.end:
        return f"its store is at {mark.position}, its end at {facts.end}: records were lost"
    if mark.position < facts.low:
        return f"its store is at {mark.position}, its beginning at {facts.low}: records were deleted"
    if mark.since > now + _AHEAD_S:
        return "its store was written in what is the future by this machine's clock"
    if now - mark.since > facts.retention_s / 2 and mark.position < facts.end:
        return f"its store is {(now - mark.since) / 3600:.1f} h old: deletions since then may have been compacted away"
    return ""


def survey(
    config: Mapping[str, Any], places: Collection[Place], durable: Collection[str], stopping: Callable[[], bool]
) -> dict[Place, Facts]:
    """Return the facts of changelogs; waits for a broker.

    Parameters
    ----------
    config
        librdkafka's settings of the cluster.
    places
        Topics and partitions.
    durable
        The topics of which more than the ends is of interest.

    Raises
    ------
    RetryError
        The worker wants to stop and the broker is still away.
    StopError
        The broker refuses to say.
    """
    admin = AdminClient(dict(config))
    while True:
        try:
            return _ask(admin, places, durable)
        except KafkaException as raised:
            if raised.args[0].code() in _REFUSALS:
                raise StopError(
                    f"Kafka refuses to describe the changelogs: {raised.args[0].str()}",
                    "give this user the rights Describe and DescribeConfigs on them",
                ) from raised
            if stopping():
                raise RetryError(f"the changelogs' ends cannot be read: {raised}", "start the broker") from raised
            log.warning("changelogs: %s", raised)
            time.sleep(0.1)


def _ask(admin: AdminClient, places: Collection[Place], durable: Collection[str]) -> dict[Place, Facts]:
    ends = _offsets(admin, places, OffsetSpec.latest())
    if not durable:
        return {place: Facts(end) for place, end in ends.items()}
    lows = _offsets(admin, [place for place in places if place[0] in durable], OffsetSpec.earliest())
    described = admin.describe_topics(TopicCollection(list(durable)), request_timeout=_WAIT_S)
    ids = {topic: str(answer.result().topic_id) for topic, answer in described.items()}
    configs = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in durable], request_timeout=_WAIT_S)
    kept = {resource.name: int(answer.result()["delete.retention.ms"].value or 0) / 1000 for resource, answer in configs.items()}
    return {
        place: Facts(end, lows[place], ids[place[0]], kept[place[0]]) if place[0] in durable else Facts(end) for place, end in ends.items()
    }


def _offsets(admin: AdminClient, places: Iterable[Place], spec: OffsetSpec) -> dict[Place, int]:
    answers = admin.list_offsets({TopicPartition(*place): spec for place in places}, request_timeout=_WAIT_S)
    return {(at.topic, at.partition): answer.result().offset for at, answer in answers.items()}
