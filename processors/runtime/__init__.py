"""Exactly once for Faust: agents, tables and sends that are atomic with their input's offsets.

``App`` is a drop-in for ``faust.App``; :func:`run` and :func:`run_worker` run it.
"""

from processors.runtime.api.app import App
from processors.runtime.api.worker import run, run_worker

__all__ = ["App", "run", "run_worker"]
