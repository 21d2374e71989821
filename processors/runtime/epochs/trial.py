"""How a failed epoch is worked through again, until the record that makes it fail is alone, and what becomes of that record."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Message

from quantum.errors import AbortTransactionError, DeadLetterError, RetryError

_FIRST_DELAY_S = 0.01
_LONGEST_DELAY_S = 1.0


class Plan:
    """Sizes of the next epochs, so that a record that fails comes to be alone in one.

    Without a plan an epoch takes what there is.
    """

    def __init__(self) -> None:
        self._sizes: deque[int] = deque()

    def next(self, most: int) -> int:
        """Return how many records the next epoch may take, at most ``most``."""
        if not self._sizes:
            return most
        size = self._sizes.popleft()
        if size > most:
            self._sizes.appendleft(size - most)
            return most
        return size

    def unused(self, size: int) -> None:
        """Say that an epoch took ``size`` records less than it might; where a plan is on they are for the next."""
        if size and self._sizes:
            self._sizes.appendleft(size)

    def isolate(self, taken: int, first: int, count: int) -> None:
        """Plan an epoch of ``taken`` records again: what came before the suspects, each suspect alone, the rest.

        Parameters
        ----------
        taken
            Records of the failed epoch.
        first, count
            Index of the first suspect and how many there are; ``count`` of 0 where nobody is suspect more than the others.
        """
        if count == 0:
            sizes = [taken // 2, taken - taken // 2] if taken > 1 else [taken]
        else:
            sizes = [first, *([1] * count), taken - first - count]
        self._sizes.extendleft(reversed([size for size in sizes if size > 0]))

    def clear(self) -> None:
        """Forget the plan."""
        self._sizes.clear()


class Trial:
    """Judges records whose agents raise.

    Parameters
    ----------
    max_retries
        How often a record that fails alone is tried again.

    Attributes
    ----------
    plan
        The sizes of the next epochs.
    """

    def __init__(self, max_retries: int) -> None:
        self.plan = Plan()
        self._max_retries = max_retries
        self._attempts: dict[tuple[Any, Any, Any], int] = {}
        self._dead: dict[tuple[Any, Any, Any], Exception] = {}

    def judge(self, taken: Sequence[Message], error: Exception, suspects: Sequence[Message]) -> float:
        """Plan a failed epoch again; return how many seconds to wait before.

        Parameters
        ----------
        taken
            The epoch's records, which are to be dispatched again.
        error
            What was raised.
        suspects
            The records that the agent had in hand.
        """
        at = {id(raw): index for index, raw in enumerate(taken)}
        places = sorted(at[id(raw)] for raw in suspects if id(raw) in at)
        first, count = (places[0], len(places)) if places else (0, 0)
        self.plan.isolate(len(taken), first, count)
        return self._weigh(taken[0], error) if len(taken) == 1 else _FIRST_DELAY_S

    def _weigh(self, raw: Message, error: Exception) -> float:
        place = _place(raw)
        tried = self._attempts[place] = self._attempts.get(place, 0) + 1
        if not isinstance(error, RetryError | AbortTransactionError) and (tried > self._max_retries or isinstance(error, DeadLetterError)):
            self._dead[place] = error
            del self._attempts[place]
            return 0.0
        return float(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(tried, 10)))

    def until_dead(self, records: list[Message]) -> tuple[list[Message], Exception | None]:
        """Return the records before the first that is known to be dead; or, where that is the first, it alone and its error."""
        if not self._dead:
            return records, None
        for index, raw in enumerate(records):
            error = self._dead.get(_place(raw))
            if error is not None:
                return (records[:index], None) if index else (records[:1], error)
        return records, None

    def acquit(self, committed: Sequence[Message]) -> None:
        """Forget what was held against records that are committed, processed or buried."""
        if self._attempts or self._dead:
            for raw in committed:
                self._attempts.pop(_place(raw), None)
                self._dead.pop(_place(raw), None)


def _place(raw: Message) -> tuple[Any, Any, Any]:
    return raw.topic(), raw.partition(), raw.offset()
