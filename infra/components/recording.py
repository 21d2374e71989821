"""The recorder's process: ``quantum record``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from connectors.exchange.recording.journal import Hole
from connectors.exchange.recording.recorder import Recorder
from connectors.exchange.recording.settings import RecorderSettings
from infra.local.lock import file_lock
from processors.components import codecs, learn_schemas, registry
from processors.topology import NODES
from quantum.errors import RetryError
from quantum.settings import Settings

log = logging.getLogger(__name__)

LOCK = ".recording.lock"
LOCK_S = 1.0
AGAIN_S = 5.0
Told = Callable[[int, int, int], None]


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording has come to.

    Attributes
    ----------
    folder : str
        Where it is.
    frames : int
        Frames in its files, of all runs.
    holes : list
        Offsets that Kafka had deleted before they were recorded.
    """

    folder: str
    frames: int
    holes: list[Hole]


def record(settings: Settings, chosen: RecorderSettings, stop: threading.Event, tell: Told, *, to_end: bool) -> Recording:
    """Record until ``stop`` is set, or up to the present end of the topic.

    Where Kafka is away the recorder waits and goes on; up to the end of the topic it does not.

    Parameters
    ----------
    settings
        Settings of the platform.
    chosen
        Where to, and how.
    stop
        Ends the recording; what was read is written first.
    tell
        Told after every commit: frames in the files; offsets read of those that were there at the start, and how many these are.
    to_end
        Whether to end with the topic's present end.

    Raises
    ------
    DependencyError
        Another recorder writes to the folder, or the disk does not take it.
    ConfigurationError
        The folder holds another recording.
    """
    (topic,) = NODES["recorder"].reads
    with file_lock(chosen.folder / LOCK, timeout_s=LOCK_S), registry(settings) as ids:
        while True:
            try:
                learn_schemas(ids, "recorder")
                recorder = Recorder(settings.kafka, topic, codecs(ids, (topic,))[topic], chosen)
                total = recorder.behind
                for behind in recorder.run(stop, to_end=to_end):
                    tell(recorder.frames, total - behind, total)
                return Recording(folder=str(chosen.folder), frames=recorder.frames, holes=recorder.holes)
            except RetryError as error:
                if to_end or stop.is_set():
                    raise
                log.warning("recording goes on in %g s: %s", AGAIN_S, error)
                stop.wait(AGAIN_S)
