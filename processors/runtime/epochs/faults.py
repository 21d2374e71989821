"""Points inside the commit at which a test can end the process.

``QUANTUM_FAULT=<point>:<n>`` kills the process (SIGKILL) when it reaches the point for the n-th time; without it a point costs
one comparison an epoch.
"""

from __future__ import annotations

import os
import signal

POINTS = ("closed", "begun", "produced", "offsets", "committed", "applied")


class Faults:
    """The armed fault of this process, if any.

    Parameters
    ----------
    armed
        ``<point>:<n>``, or empty for none.
    """

    def __init__(self, armed: str) -> None:
        self._point, _, count = armed.partition(":")
        self._left = int(count or 1)
        if self._point and self._point not in POINTS:
            raise ValueError(f"QUANTUM_FAULT names {self._point!r}, which is none of {', '.join(POINTS)}")

    @classmethod
    def from_environment(cls) -> Faults:
        """Return what ``QUANTUM_FAULT`` arms."""
        return cls(os.environ.get("QUANTUM_FAULT", ""))

    def reach(self, point: str) -> None:
        """Say that a point is reached."""
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
