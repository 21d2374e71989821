"""Archives of the documented forms: read, checked, played through the stage to the archive's own klines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from connectors.exchange.archive import importer
from connectors.exchange.archive.check import Checked, check
from connectors.exchange.archive.importer import ArchiveImporter
from connectors.exchange.archive.names import ArchiveKind, archive_at, archives, tradings
from connectors.exchange.archive.rows import ArchiveRows
from connectors.exchange.recording.journal import Journal, write_journal
from connectors.exchange.recording.writer import RecordingWriter
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.source import ReplaySummary, run_replay
from connectors.exchange.venues import COINM, SPOT, USDM
from processors.market.logic import VenueState, on_frame
from processors.market.rules import Rules
from quantum.cli import main
from quantum.errors import ConfigurationError, DependencyError
from schemas.exchange.records import ExchangeFrame
from schemas.market.records import MarketInstrument, MarketKline, MarketTick
from tests.unit.exchange.archive.files import DAY_US, MINUTE_US, Row, aggregate_lines, kline_lines, trade_lines, trades, write

DAY = "2025-01-02"


class Stage:
    """Takes the frames of a replay as the market stage does."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], VenueState] = {}
        self.ticks: list[MarketTick] = []
        self.klines: list[MarketKline] = []
        self.instruments: list[MarketInstrument] = []

    def send(self, frame: ExchangeFrame) -> None:
        state = self.states.setdefault((frame.venue, frame.symbol), VenueState())
        for output in on_frame(Rules(), state, frame):
            match output.record:
                case MarketTick() as tick:
                    self.ticks.append(tick)
                case MarketKline() as kline:
                    self.klines.append(kline)
                case MarketInstrument() as instrument:
                    self.instruments.append(instrument)


def play(folder: Path, **settings: str) -> tuple[Stage, ReplaySummary]:
    stage = Stage()
    summary = asyncio.run(run_replay(ReplaySettings.model_validate({"folder": folder, **settings}), stage, lambda _: None, asyncio.Event()))
    return stage, summary


def put(
    folder: Path, rows: Sequence[Row], kind: str = "trades", *, futures: bool = False, header: bool = False, suffix: str = "zip"
) -> Path:
    """Write a day's archive where it is downloaded to."""
    lines = {"trades": trade_lines, "aggTrades": aggregate_lines}[kind](rows, futures)
    tree = "data/futures/um" if futures else "data/spot"
    path = folder / tree / "daily" / kind / "ABCUSDT" / f"ABCUSDT-{kind}-{DAY}.{suffix}"
    return write(path, kind, lines, header=header, checksum=True)


@pytest.mark.parametrize("kind", ["trades", "aggTrades"])
@pytest.mark.parametrize(("futures", "header", "suffix"), [(False, False, "zip"), (True, True, "zip"), (True, False, "csv")])
def test_bars_of_what_is_played_are_the_archives_klines(tmp_path: Path, kind: str, futures: bool, header: bool, suffix: str) -> None:
    """Aggregates have their own ids and number; prices and volumes are the same. Every second has trades."""
    rows = trades(1_200)
    put(tmp_path, rows, kind, futures=futures, header=header, suffix=suffix)
    tree = tmp_path / "klines" / ("um" if futures else "spot")
    path = write(tree / f"ABCUSDT-1m-{DAY}.zip", "klines", kline_lines(rows, MINUTE_US, futures), header=header)
    stage, summary = play(tmp_path)
    assert (summary.damaged, summary.bad_lines, summary.late) == ([], 0, 0)
    bars = {bar.open_ts: bar for bar in stage.klines if bar.interval == "1m"}
    file = archive_at(path, tmp_path)
    assert file is not None
    klines = [kline for kline in ArchiveRows(file).klines() if kline.open_ts != DAY_US]  # the first minute was not seen from its start
    assert len(klines) == 9
    for kline in klines:
        bar = bars[kline.open_ts]
        assert (bar.close_ts, bar.open, bar.high, bar.low, bar.close) == (
            kline.close_ts, float(kline.open), float(kline.high), float(kline.low), float(kline.close),
        )  # fmt: skip
        volumes = (float(kline.volume), float(kline.quote_volume), float(kline.taker_buy_volume))
        assert (bar.volume, bar.quote_volume, bar.taker_buy_volume) == pytest.approx(volumes, rel=1e-12)
        assert (bar.trades == kline.trades) == (kind == "trades")
    assert sum(tick.quantity for tick in stage.ticks) == pytest.approx(float(sum(row.quantity for row in rows)))
    ids = [tick.trade_id for tick in stage.ticks]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    if kind == "trades":
        assert [(tick.trade_id, tick.event_ts) for tick in stage.ticks] == [(row.id, row.ts - row.ts % 1_000) for row in rows]
    else:
        assert len(ids) < len(rows)
    (instrument,) = stage.instruments
    assert (str(instrument.rules.tick_size), str(instrument.rules.lot_size)) == ("0.01", "0.001")


def test_it_plays_from_any_time_and_every_trade_once_however_files_overlap(tmp_path: Path) -> None:
    rows = trades(800)
    month = tmp_path / "spot" / "ABCUSDT-trades-2025-01.csv"
    write(month, "trades", trade_lines(rows, futures=False), header=False)
    put(tmp_path, rows)
    put(tmp_path, rows, "aggTrades")
    stage, _ = play(tmp_path)
    assert [tick.trade_id for tick in stage.ticks] == [row.id for row in rows]
    stage, _ = play(tmp_path, begin="2025-01-02T00:03", end="2025-01-02T00:05:30")
    wanted = [row.id for row in rows if DAY_US + 3 * MINUTE_US <= row.ts < DAY_US + 5.5 * MINUTE_US]
    assert [tick.trade_id for tick in stage.ticks] == wanted


def test_rows_that_are_not_as_documented_are_counted_and_left_out(tmp_path: Path) -> None:
    good = trade_lines(trades(5), futures=True)
    bad = ["1,2,3", "x,1,1,1,1735776000000,true", "7,1,1,1,1735776000000,yes", "8,abc,1,1,1735776000000,true"]
    path = write(tmp_path / "um" / f"ABCUSDT-trades-{DAY}.csv", "trades", [*good[:3], *bad, *good[3:]], header=True)
    file = archive_at(path, tmp_path)
    assert file is not None
    rows = ArchiveRows(file)
    assert len(list(rows.trades())) == 5
    assert rows.bad == 4
    path.write_text("a,b,c,d,e,f\n1,2,3,4,5,true\n")
    assert list(rows.trades()) == []
    assert "not what is documented" in rows.damage
    path.with_suffix(".zip").write_bytes(b"PK\x03\x04no")
    (packed,) = archives([tmp_path])
    rows = ArchiveRows(packed)
    assert list(rows.trades()) == []
    assert "zip" in rows.damage


def test_what_a_name_says(tmp_path: Path) -> None:
    def said(name: str) -> tuple[object, ...] | None:
        file = archive_at(tmp_path / name, tmp_path)
        return None if file is None else (file.venue, file.symbol, file.kind, file.interval, file.start, file.end)

    assert said("spot/BTCUSDT-trades-2024-02.zip") == (SPOT, "BTCUSDT", ArchiveKind.TRADES, "", date(2024, 2, 1), date(2024, 3, 1))
    day = (date(2024, 12, 31), date(2025, 1, 1))
    assert said("futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12-31.csv") == (USDM, "BTCUSDT", ArchiveKind.KLINES, "1m", *day)
    assert said("cm/BTCUSD_PERP-aggTrades-2024-12-31.zip") == (COINM, "BTCUSD_PERP", ArchiveKind.AGG_TRADES, "", *day)
    for name in ("spot/BTCUSDT-trades-2024-13.zip", "BTCUSDT-trades-2024-02.zip", "spot/BTCUSDT-fundingRate-2024-02.zip", "spot/a.csv"):
        assert said(name) is None, name
    with pytest.raises(DependencyError, match="there is no archive"):
        archives([tmp_path])
    with pytest.raises(DependencyError, match="there is no"):
        archives([tmp_path / "nowhere"])


def test_aggregates_are_played_only_where_there_are_no_trades(tmp_path: Path) -> None:
    for name in (
        "ABC-trades-2025-01-02",
        "ABC-aggTrades-2025-01",
        "DEF-aggTrades-2025-01-03",
        "DEF-aggTrades-2025-01",
        "DEF-1m-2025-01-02",
    ):
        write(tmp_path / "spot" / f"{name}.csv", "trades", [], header=False)
    played, left_out = tradings(archives([tmp_path]))
    assert [[file.path.stem for file in files] for files in played] == [["ABC-trades-2025-01-02"], ["DEF-aggTrades-2025-01"]]
    assert [file.path.stem for file in left_out] == ["ABC-aggTrades-2025-01", "DEF-aggTrades-2025-01-03"]


def checked(path: Path, root: Path) -> Checked:
    file = archive_at(path, root)
    assert file is not None
    return check(file, lambda _: None)


def test_the_check_finds_what_is_wrong(tmp_path: Path) -> None:
    rows = trades(300)
    path = put(tmp_path, rows)
    found = checked(path, tmp_path)
    assert (found.rows, found.checksum, found.faults) == (300, "right", [])
    path.write_bytes(path.read_bytes() + b" ")
    assert checked(path, tmp_path).checksum == "WRONG"
    gone = put(tmp_path, [*rows[:100], *rows[110:150], *rows[151:]], suffix="csv")
    assert checked(gone, tmp_path).faults == ["2 gaps in the ids, 11 missing, the first after 1099"]
    at_once = [row._replace(ts=row.ts - row.ts % 1_000_000) for row in rows]
    assert checked(put(tmp_path, at_once, futures=True), tmp_path).faults == []
    twice = put(tmp_path, [*rows[:100], *rows[90:]], futures=True, header=True)
    assert checked(twice, tmp_path).faults == ["1 steps back of the ids, the first after 1099", "1 steps back of the time"]
    klines = kline_lines(trades(1_200), MINUTE_US, futures=False)
    path = write(tmp_path / "spot" / f"ABCUSDT-1m-{DAY}.csv", "klines", [*klines[:2], *klines[4:]], header=False)
    assert checked(path, tmp_path).faults == ["1 gaps, 2 klines missing, the first after 2025-01-02T00:01:00"]
    elsewhere = write(tmp_path / "spot" / "ABCUSDT-trades-2025-01-05.csv", "trades", trade_lines(rows, futures=False), header=False)
    assert checked(elsewhere, tmp_path).faults == ["300 rows of other days"]
    assert checked(elsewhere, tmp_path).checksum == "none"


class Interrupted(BaseException):
    """The import ends here."""


def test_an_import_that_is_interrupted_goes_on_and_plays_as_the_archives_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = trades(1_000)
    put(tmp_path / "in", rows[:600], suffix="csv")
    later = [Row(row.id + 600, *row[1:]) for row in trades(400, start_us=DAY_US + 1_440 * MINUTE_US)]
    write(tmp_path / "in" / "spot" / "ABCUSDT-trades-2025-01-03.zip", "trades", trade_lines(later, futures=False), header=False)
    write(tmp_path / "in" / "spot" / "ABCUSDT-1m-2025-01-02.csv", "klines", kline_lines(rows, MINUTE_US, futures=False), header=False)
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(importer, "COMMIT_BYTES", 20_000)
    commit, commits = RecordingWriter.commit, 0

    def interrupted(self: RecordingWriter, *arguments: Any, **named: Any) -> int:
        nonlocal commits
        commits += 1
        if commits % 3 == 0:
            raise Interrupted
        return commit(self, *arguments, **named)

    monkeypatch.setattr(RecordingWriter, "commit", interrupted)
    for _ in range(20):
        try:
            done = ArchiveImporter(tmp_path / "out", lambda *_: None).run(archives([tmp_path / "in"]))
            break
        except Interrupted:
            continue
    monkeypatch.setattr(RecordingWriter, "commit", commit)
    assert commits > 6
    assert (done.archives, done.faulty, [Path(name).name for name in done.left_out]) == (2, [], ["ABCUSDT-1m-2025-01-02.csv"])
    again = ArchiveImporter(tmp_path / "out", lambda *_: None).run(archives([tmp_path / "in"]))
    assert (again.rows, again.present) == (0, 2)
    stage, summary = play(tmp_path / "out")
    straight, _ = play(tmp_path / "in")
    assert (summary.damaged, summary.late) == ([], 0)
    assert len(stage.ticks) == 1_000
    assert (stage.ticks, stage.klines, stage.instruments) == (straight.ticks, straight.klines, straight.instruments)
    part, _ = play(tmp_path / "out", begin="2025-01-03")
    assert [tick.trade_id for tick in part.ticks] == [tick.trade_id for tick in stage.ticks][600:]


def test_it_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "TELL_ROWS", 500)
    for suffix in ("zip", "csv"):
        put(tmp_path / suffix, trades(5_000), suffix=suffix)
        told: list[tuple[str, int, int]] = []
        ArchiveImporter(tmp_path / f"{suffix}.out", lambda *progress, told=told: told.append(progress)).run(archives([tmp_path / suffix]))
        for what in ("checking, kB", "recording, kB"):
            steps = [(done, total) for name, done, total in told if name == what]
            assert steps == sorted(steps)
            assert steps[0][0] == 0
            assert steps[-1][0] == steps[-1][1] > 0
        assert len({done for name, done, _ in told if name == "recording, kB"}) > 2


def test_an_import_refuses_what_would_not_be_right(tmp_path: Path) -> None:
    path = put(tmp_path / "in", trades(50))
    folder = tmp_path / "out"
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(DependencyError, match="not what its"):
        ArchiveImporter(folder, lambda *_: None).run(archives([path.parents[5]]))
    path.with_name(f"{path.name}.CHECKSUM").unlink()
    ArchiveImporter(folder, lambda *_: None).run(archives([tmp_path / "in"]))
    early = write(tmp_path / "spot" / "ABCUSDT-trades-2025-01-01.csv", "trades", [], header=False)
    with pytest.raises(ConfigurationError, match="begins before the end"):
        ArchiveImporter(folder, lambda *_: None).run(archives([early]))
    late = write(tmp_path / "spot" / "ABCUSDT-aggTrades-2025-01-05.csv", "aggTrades", [], header=False)
    with pytest.raises(ConfigurationError, match="counts its own ids"):
        ArchiveImporter(folder, lambda *_: None).run(archives([late]))
    write_journal(folder, Journal(cluster="a", topic="exchange.raw", topic_id="b"))
    with pytest.raises(ConfigurationError, match="has a recording of"):
        ArchiveImporter(folder, lambda *_: None)


def test_the_commands(tmp_path: Path) -> None:
    put(tmp_path / "in", trades(50))
    run = CliRunner()
    found = run.invoke(main, ["archive", "check", str(tmp_path / "in")])
    assert (found.exit_code, "50 rows" in found.output, "checksum right" in found.output) == (0, True, True)
    done = run.invoke(main, ["archive", "import", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--json"])
    assert (done.exit_code, json.loads(done.stdout)["rows"]) == (0, 50)
    gone = put(tmp_path / "in", [*trades(50)[:10], *trades(50)[20:]])
    faulty = run.invoke(main, ["archive", "check", str(gone), "--json"])
    assert (faulty.exit_code, json.loads(faulty.stdout)[0]["faults"]) == (1, ["1 gaps in the ids, 10 missing, the first after 1009"])


def test_what_is_played_is_the_venues_own_form(tmp_path: Path) -> None:
    rows = trades(3)
    put(tmp_path, rows)
    sink: list[ExchangeFrame] = []

    class Sink:
        def send(self, frame: ExchangeFrame) -> None:
            sink.append(frame)

    asyncio.run(run_replay(ReplaySettings(folder=tmp_path), Sink(), lambda _: None, asyncio.Event()))
    played = [frame for frame in sink if frame.channel == "trade"]
    assert [json.loads(frame.payload) for frame in played] == [
        {"id": row.id, "price": str(row.price), "qty": str(row.quantity), "time": row.ts // 1_000, "isBuyerMaker": row.buyer_is_maker}
        for row in rows
    ]
    assert [frame.event_ts for frame in played] == [row.ts for row in rows]
