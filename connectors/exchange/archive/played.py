"""Archives as a recording: each row of trades is the trade that the venue's REST interface gives, received when it happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.exchange.archive.names import ArchiveFile, day_ns
from connectors.exchange.archive.rows import ArchivedTrade, ArchiveRows
from connectors.exchange.recording.line import NANOSECONDS, Noted
from connectors.exchange.replay.span import Line, Span
from connectors.exchange.venues import Channel
from schemas.common import FrameKind

_EVERYTHING = Span()


class PlayedArchives:
    """The archives of one symbol's trades, day after day; see `Recorded`.

    Parameters
    ----------
    files
        The archives, by day.
    number
        Place among the files of the recording.
    """

    def __init__(self, files: Sequence[ArchiveFile], number: int) -> None:
        self.path = files[0].path
        self.venue = files[0].venue
        self.number = number
        self.bad_lines = 0
        self.damage = ""
        self._files = files

    def lines(self, span: Span = _EVERYTHING) -> Iterator[Line]:
        """Yield the trades of a span; days before it are not opened."""
        self.bad_lines, self.damage = 0, ""
        for file in self._files:
            if day_ns(file.end) <= span.from_ns or day_ns(file.start) >= span.to_ns:
                continue
            rows = ArchiveRows(file)
            for trade in rows.trades():
                at = trade.ts * NANOSECONDS
                if span.from_ns <= at < span.to_ns:
                    yield Line(at, self.number, Noted(file.symbol, Channel.TRADE, FrameKind.REST, trade.ts, payload_of(trade)))
            self.bad_lines += rows.bad
            self.damage = rows.damage or self.damage


def payload_of(trade: ArchivedTrade) -> str:
    """Return a trade as ``historicalTrades`` has it; its time is in milliseconds there, as in the streams."""
    maker = "true" if trade.buyer_is_maker else "false"
    return f'{{"id":{trade.id},"price":"{trade.price}","qty":"{trade.quantity}","time":{trade.ts // 1_000},"isBuyerMaker":{maker}}}'
