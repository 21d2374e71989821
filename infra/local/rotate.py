"""Copy standard input to a log file that rotates.

Run as a script, ``python -I -S rotate.py FILE MAX_BYTES BACKUPS``. It is the other end of a server's standard output: it
outlives the launcher, and ends when the last writer of the pipe has ended. Only the standard library, to stay small.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

CHUNK = 65536


def rotate(path: Path, backups: int) -> None:
    """Rename FILE to FILE.1, FILE.1 to FILE.2 and so on; the oldest is dropped."""
    for number in range(backups - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    if path.exists():
        path.replace(path.with_name(f"{path.name}.1"))


def copy(source: int, path: Path, max_bytes: int, backups: int) -> None:
    """Copy the file descriptor to the file until its end; the file is changed between two lines."""
    output = path.open("ab")
    try:
        while chunk := os.read(source, CHUNK):
            if output.tell() + len(chunk) > max_bytes and (end := chunk.rfind(b"\n") + 1):
                output.write(chunk[:end])
                output.close()
                rotate(path, backups)
                output = path.open("ab")
                chunk = chunk[end:]
            output.write(chunk)
            output.flush()
    finally:
        output.close()


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the last lines of the server must still be written: only the pipe's end is the end
    copy(0, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
