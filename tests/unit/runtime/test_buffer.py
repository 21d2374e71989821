"""Order of dispatch, and the plan that brings a failing record to be alone."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.epochs.buffer import Buffer, TimeOrderedBuffer
from processors.runtime.epochs.trial import Plan


class Record:
    """Of a record only what decides its order."""

    def __init__(self, topic: str, partition: int, at: int) -> None:
        self._topic, self._partition, self._at = topic, partition, at

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def timestamp(self) -> tuple[int, int]:
        return 1, self._at

    def __repr__(self) -> str:
        return f"{self._topic}-{self._partition}@{self._at}"


def records(*made: tuple[str, int, int]) -> list[Message]:
    return [cast(Message, Record(*each)) for each in made]


def times(taken: list[Message]) -> list[Any]:
    return [(each.topic(), each.timestamp()[1]) for each in taken]


def test_records_keep_their_order_and_what_is_put_back_goes_first() -> None:
    buffer = Buffer()
    made = records(*[("a", 0, at) for at in range(5)])
    buffer.extend(made)
    first = buffer.take(3)
    buffer.put_back(first)
    assert buffer.take(10) == made
    assert not buffer.ready


def test_heads_of_one_partition_number_go_by_time() -> None:
    buffer = TimeOrderedBuffer()
    buffer.extend(records(*[("large", 0, at) for at in range(0, 10)], *[("small", 0, at) for at in (3, 7)]))
    assert times(buffer.take(6)) == [("large", 0), ("large", 1), ("large", 2), ("large", 3), ("small", 3), ("large", 4)]
    assert len(buffer) == 6


def test_a_partition_number_waits_for_a_topic_that_has_more_but_not_for_ever() -> None:
    times_of_day = [0.0]
    buffer = TimeOrderedBuffer(patience_s=1.0, clock=lambda: times_of_day[-1])
    buffer.extend(records(("large", 0, 5), ("large", 1, 5)))
    buffer.expect([("small", 0)])
    assert times(buffer.take(10)) == [("large", 5)]
    assert len(buffer) == 1
    assert buffer.ready is False
    buffer.extend(records(("small", 0, 1)))
    assert times(buffer.take(10)) == [("small", 1)]
    times_of_day.append(0.5)
    assert buffer.take(10) == []
    times_of_day.append(2.0)
    assert times(buffer.take(10)) == [("large", 5)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 50)), max_size=60), st.integers(1, 7))
def test_every_record_comes_once_and_each_topic_partition_in_its_order(made: list[tuple[str, int, int]], step: int) -> None:
    buffer = TimeOrderedBuffer()
    given_records = records(*made)
    buffer.extend(given_records)
    taken: list[Message] = []
    while piece := buffer.take(step):
        taken += piece
    assert len(buffer) == 0
    for at in {(each.topic(), each.partition()) for each in given_records}:
        assert [each for each in taken if (each.topic(), each.partition()) == at] == [
            each for each in given_records if (each.topic(), each.partition()) == at
        ]


def test_a_suspect_comes_to_be_alone() -> None:
    plan = Plan()
    plan.isolate(100, 40, 1)
    assert [plan.next(1000) for _ in range(4)] == [40, 1, 59, 1000]


def test_each_suspect_of_a_batch_comes_to_be_alone() -> None:
    plan = Plan()
    plan.isolate(5, 1, 3)
    assert [plan.next(1000) for _ in range(6)] == [1, 1, 1, 1, 1, 1000]


def test_without_a_suspect_the_epoch_is_halved() -> None:
    plan = Plan()
    plan.isolate(9, 0, 0)
    assert [plan.next(1000) for _ in range(3)] == [4, 5, 1000]
    plan.isolate(1, 0, 0)
    assert plan.next(1000) == 1


def test_a_plan_within_a_plan_and_a_part_that_was_not_used() -> None:
    plan = Plan()
    plan.isolate(10, 5, 1)
    assert plan.next(1000) == 5
    plan.isolate(5, 2, 1)
    assert [plan.next(1000) for _ in range(3)] == [2, 1, 2]
    assert plan.next(1000) == 1
    assert plan.next(3) == 3
    plan.unused(2)
    assert [plan.next(1000) for _ in range(3)] == [2, 1, 1000]
