"""Where the demo's market data come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
