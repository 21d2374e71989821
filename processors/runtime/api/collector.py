"""The garbage collector of a worker's process."""

from __future__ import annotations

import gc


def look_less_often() -> None:
    """Tell the collector that what exists now stays, and to look less often: events are freed by their reference count."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
