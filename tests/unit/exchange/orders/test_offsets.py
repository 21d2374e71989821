"""An offset is committed only when everything before it is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.orders.offsets import OffsetTracker


@given(st.integers(0, 1_000), st.lists(st.integers(1, 3), min_size=1, max_size=30), st.randoms())
def test_the_committed_offset_is_the_first_that_is_not_done(start: int, gaps: list[int], random: object) -> None:
    offsets = [start + sum(gaps[:n]) for n in range(len(gaps))]
    order = list(offsets)
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis' own Random
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.take(offset)
    open_offsets = set(offsets)
    committed = None
    for offset in order:
        answer = tracker.done(offset)
        open_offsets.discard(offset)
        committed = answer if answer is not None else committed
        expected = min(open_offsets, default=offsets[-1] + 1)
        assert (committed or offsets[0]) == expected
    assert len(tracker) == 0
