"""Where the demo's market data come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectors.exchange.replay.settings import ReplaySettings
from quantum.errors import ConfigurationError

SIMULATED = "sim"
REPLAY = "replay:"


@dataclass(frozen=True, slots=True)
class Source:
    """The simulated venue, or a recording.

    Attributes
    ----------
    name
        As the user gave it.
    folder
        Folder of the recording; None for the simulated venue.
    """

    name: str
    folder: Path | None


def parse_source(text: str) -> Source:
    """Return the source that a text names.

    Raises
    ------
    ConfigurationError
        It names none, or its folder does not exist.
    """
    if text == SIMULATED:
        return Source(text, None)
    if not text.startswith(REPLAY):
        raise ConfigurationError(f"--source {text}: there is no such source", f"use {SIMULATED} or {REPLAY}DIR")
    folder = Path(text.removeprefix(REPLAY)).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigurationError(f"--source {text}: there is no folder {folder}", "give the folder of a recording")
    return Source(text, folder)


def recording_of(source: Source, speed: str, begin: str, end: str) -> ReplaySettings | None:
    """Return what is played of a source's recording; None for the simulated venue.

    Raises
    ------
    ConfigurationError
        The speed is none, a time is none, or the simulated venue is to begin at one.
    """
    if source.folder is not None:
        return ReplaySettings(folder=source.folder, speed=speed, begin=begin, end=end)
    if begin or end:
        raise ConfigurationError("the simulated venue has no past to begin from", f"give --from and --to with --source {REPLAY}DIR")
    return None
