"""The demo from its first to its last step."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.live import Live

from connectors.exchange.replay.settings import ReplaySettings
from infra.components.market_data import replay as play
from infra.local.supervisor import Supervisor
from processors.topology import NODES, TOPICS
from quantum import logging as logs
from quantum.demo import view, workers
from quantum.demo.dashboard import GROUPS, Dashboard
from quantum.demo.model import train_first_model
from quantum.demo.observer import Observer
from quantum.demo.offsets import Offsets, Place
from quantum.demo.platform import Platform, write_summary
from quantum.demo.source import Source, parse_source, recording_of
from quantum.demo.summary import render, stage_lag, summarise
from quantum.errors import QuantumError, RetryError
from quantum.home import Home
from quantum.settings import Settings

LOGGER = logging.getLogger(__name__)
DEFAULT_SECONDS = 90.0
LONGEST_SECONDS = 300.0
REFRESH_S = 1.0
PLAIN_EVERY_S = 5.0
DRAIN_S = {"sim": 60.0, "replay": 900.0}
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for; see ``quantum demo --help``."""

    seconds: float | None
    source: str
    speed: str
    seed: int
    summary_file: Path | None
    keep_up: bool
    begin: str = ""
    end: str = ""


class Replay:
    """A recording that is played by a thread of this process."""

    def __init__(self, settings: Settings, recording: ReplaySettings) -> None:
        self.error: BaseException | None = None
        self._settings, self._recording = settings, recording
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def stop(self) -> None:
        """Stop playing; returns when what was played is stored."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    @property
    def over(self) -> bool:
        """Whether it has ended; raises what ended it early."""
        if self.error is not None:
            raise self.error
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(play(self._settings, self._recording, self._stop))
        except (QuantumError, OSError) as error:
            self.error = error
        finally:
            self._loop.close()


def run_demo(options: Options) -> int:
    """Run the demo; returns the exit code: 0, or 130 where it was interrupted. Raises the platform's errors."""
    source = parse_source(options.source)
    recording = recording_of(source, options.speed, options.begin, options.end)
    console = Console()
    home = Home()
    home.logs.mkdir(parents=True, exist_ok=True)
    logs.configure("demo", "INFO", home.logs / "demo.log")
    with interruptible(), ExitStack() as cleanup:
        try:
            _run(options, source, recording, home, console, cleanup)
        except KeyboardInterrupt:
            console.print("interrupted: ending what was started")
            return INTERRUPTED
        finally:
            ignore_interrupts()
    return 0


@contextmanager
def interruptible() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C while the block runs, and give both their old handlers back after it."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """Let no second Ctrl-C disturb the clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _run(options: Options, source: Source, recording: ReplaySettings | None, home: Home, console: Console, cleanup: ExitStack) -> None:
    def tell(text: str) -> None:
        console.print(text, highlight=False)

    platform = Platform(home, tell, cleanup)
    settings = platform.up(keep_up=options.keep_up)
    simulated = recording is None
    if simulated:
        access, env = platform.start_simulated_venue(settings, options.seed)
        train_first_model(settings, access, tell)
    else:
        access, env = platform.start_paper_venue(settings)
        tell("a recording has no history to train on before it begins: without a model there are no signals' directions")
    platform.set_policy(settings, list(workers.SYMBOLS))
    tell("starting the stages")
    pipeline = platform.supervise(
        settings, [*workers.stages(env), *(workers.component(name, env) for name in ("orders", "sink", "trainer"))]
    )
    platform.until_healthy(pipeline)
    observer = Observer(settings)
    observer.start()
    cleanup.callback(observer.stop)
    seconds = options.seconds or (DEFAULT_SECONDS if simulated else None)
    dashboard = Dashboard(settings, platform.stack, lambda: platform.supervisors, observer, source.name, seconds)
    inputs: Supervisor | None = None
    replay: Replay | None = None
    if recording is None:
        inputs = platform.supervise(settings, [workers.component("feed", env), workers.component("clock", env)])
    else:
        replay = Replay(settings, recording)
        replay.start()
        cleanup.callback(replay.stop)
    _watch(console, dashboard, options, replay)
    elapsed, histograms = dashboard.elapsed_s, dashboard.latency()
    tell("ending the input, finishing what is under way")
    if inputs is not None:
        inputs.stop()
    if replay is not None:
        replay.stop()
    _drain(settings, dashboard, DRAIN_S["sim" if simulated else "replay"], console)
    with observer.lock:
        summary = summarise(settings, observer.seen, histograms, dashboard.peak_mb, list(platform.errors), source.name, elapsed)
    console.print(render(summary, next_steps(home, options.keep_up)))
    if options.summary_file is not None:
        write_summary(options.summary_file, summary)
        tell(f"summary written to {options.summary_file}")


def _watch(console: Console, dashboard: Dashboard, options: Options, replay: Replay | None) -> None:
    """Show the platform until the time is up or the recording is over."""
    if console.is_terminal:
        with Live(console=console, screen=False, auto_refresh=False, transient=True) as live:
            for frame in _frames(dashboard, options, replay, REFRESH_S):
                with dashboard.observer.lock:
                    live.update(view.render(frame, dashboard.observer.seen), refresh=True)
    else:
        for frame in _frames(dashboard, options, replay, PLAIN_EVERY_S):
            with dashboard.observer.lock:
                console.print(view.plain(frame, dashboard.observer.seen), highlight=False)


def _frames(dashboard: Dashboard, options: Options, replay: Replay | None, every_s: float) -> Iterator[view.Frame]:
    while not _over(dashboard, options, replay):
        began = time.monotonic()
        yield dashboard.frame()
        time.sleep(max(0.05, every_s - (time.monotonic() - began)))


def _over(dashboard: Dashboard, options: Options, replay: Replay | None) -> bool:
    if replay is not None and replay.over:
        return True
    if options.seconds is not None:
        return dashboard.elapsed_s >= options.seconds
    if replay is not None:
        return False
    with dashboard.observer.lock:
        shown = bool(dashboard.observer.seen.closed)
    return dashboard.elapsed_s >= (DEFAULT_SECONDS if shown else LONGEST_SECONDS)


def _drain(settings: Settings, dashboard: Dashboard, limit_s: float, console: Console) -> None:
    """Wait until every stage has read all of its input and the history has stored it; say so where that takes too long."""
    deadline = time.monotonic() + limit_s
    offsets = Offsets(settings)
    kept = [topic for topic in NODES["sink"].reads if not TOPICS[topic].broadcast]
    wanted: dict[Place, int] | None = None
    while time.monotonic() < deadline:
        dashboard.measure_memory()
        try:
            behind = {stage: count for stage, count in stage_lag(settings).items() if count}
            progress = offsets.look(kept, [GROUPS["sink"]])
        except RetryError as error:
            LOGGER.warning("looking again: %s", error)
        else:
            if wanted is None and not behind:
                wanted = progress.ends
            if wanted is not None and progress.reached(GROUPS["sink"], wanted):
                return
            if not console.is_terminal:
                left = ", ".join(f"{stage} {count:,}" for stage, count in behind.items()) or "nothing, the history is being written"
                console.print(f"still to be read: {left}", highlight=False)
        time.sleep(REFRESH_S)
    console.print(f"not everything was finished within {limit_s:g} s; the summary's lag says what is left")


def next_steps(home: Home, up: bool) -> list[str]:
    """Return where to look next."""
    prefix = "" if home.root == Path(".quantum").absolute() else f"QUANTUM_HOME={home.root} "
    command = f"  {prefix}.venv/bin/quantum"
    steps = ["", "where to look next"]
    if not up:
        steps.append(f"{command} up                # the servers again; the data are kept")
    return [
        *steps,
        f'{command} sql "SELECT symbol, exit_reason, count(), sum(net_pnl) FROM trade_closed GROUP BY ALL"',
        f'{command} sql "SELECT * FROM market_klines ORDER BY close_ts DESC LIMIT 5"',
        f"{command} models list       # the artefacts and the one that serves",
        f"{command} policy show       # limits, mode, who set them",
        f"{command} status            # addresses for Redpanda Console, clickhouse-connect, Grafana",
        f"  logs are in {home.logs}",
    ]
