"""What is played of a recording, and the lines that are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from connectors.exchange.recording.line import Noted
from connectors.exchange.venues import Venue
from quantum.errors import ConfigurationError

_UNITS_NS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000}
_LENGTH = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
LATEST_NS = (1 << 63) - 1
STRAGGLE_NS = 60 * _UNITS_NS["s"]
"""How far the times of receipt of a file's lines may fall: trades by REST are sent before what was received while they were fetched."""


class Line(NamedTuple):
    """A recorded frame.

    Attributes
    ----------
    receive_ns
        Time of receipt, nanoseconds.
    file
        Number of its file.
    said
        Its JSON text, or what is known of it.
    """

    receive_ns: int
    file: int
    said: bytes | Noted


class Span(NamedTuple):
    """What is played, by time of receipt in nanoseconds.

    Attributes
    ----------
    from_ns
        Where it begins; 0 for the recording's own beginning.
    to_ns
        Where it ends: from here on nothing is played.
    look_back_ns
        How far before its beginning the newest snapshot of a book may be for the book to be played from there.
    """

    from_ns: int = 0
    to_ns: int = LATEST_NS
    look_back_ns: int = 0


class Recorded(Protocol):
    """Something that lines are read of: a file, or several that follow one another.

    Attributes
    ----------
    venue
        Venue that it was recorded at.
    number
        Its place among those of the recording; breaks ties of the time of receipt.
    bad_lines
        Lines without a time of receipt or without a frame.
    damage
        Why something of it could not be read; empty where all could.
    """

    path: Path
    venue: Venue
    number: int
    bad_lines: int
    damage: str

    def lines(self, span: Span = ...) -> Iterator[Line]:
        """Yield the lines of a span, in their order.

        Where the span begins later than the recording, what the platform must know by then comes first: the newest instrument, and the
        book's frames from its newest snapshot on, as far as the span looks back.
        """


def moment_ns(text: str, first_ns: int) -> int:
    """Return a time as nanoseconds since the epoch.

    Parameters
    ----------
    text
        ISO 8601, UTC where it names no zone; or a length from the beginning on, such as ``90s`` or ``1h30m``.
    first_ns
        Beginning of the recording.

    Raises
    ------
    ConfigurationError
        It is neither.
    """
    if _LENGTH.fullmatch(text):
        return first_ns + round(sum(float(count) * _UNITS_NS[unit] for count, unit in _PART.findall(text)))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no time of a recording", "use 2024-08-08T23:56:00, or a length from its beginning on, such as 90s or 1h30m"
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1e6) * 1_000
