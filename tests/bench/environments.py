"""Python environments of peers whose requirements clash with the platform's, made once in the cache folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from infra.local.artefacts import cache_folder
from infra.local.lock import file_lock
from quantum.errors import DependencyError

_LOCK_TIMEOUT_S = 600.0
_INSTALL_S = 300.0
_LAST_WORDS = 300


def python_with(requirement: str) -> Path:
    """Return the Python of an environment that has a requirement and nothing of the platform's.

    Parameters
    ----------
    requirement
        Name and exact version, ``name==version``.

    Raises
    ------
    DependencyError
        It cannot be installed.
    """
    folder = cache_folder() / f"bench-{requirement.replace('==', '-')}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    marker = folder / "installed"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_suffix(".lock"), timeout_s=_LOCK_TIMEOUT_S):
        if marker.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], requirement)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement], requirement)
        marker.touch()
    return python


def _run(command: list[str], requirement: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired as error:
        raise DependencyError(f"{requirement} is not installed within {_INSTALL_S:.0f} s", "try again on a faster network") from error
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-_LAST_WORDS:]
        raise DependencyError(f"{requirement} cannot be installed: {words}", "connect to the internet once, or set pip's index")
