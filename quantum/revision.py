"""Which code this is."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path


@cache
def revision() -> str:
    """Return the git revision of this code, ``QUANTUM_REVISION`` where there is no checkout, else ``unknown``."""
    named = os.environ.get("QUANTUM_REVISION")
    if named:
        return named
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
