"""The components as processes: each is imported only where it runs, so that a feed does not carry a trainer's libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

from quantum.errors import ConfigurationError
from quantum.settings import Settings

Run = Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]
COMPONENTS: dict[str, str] = {
    "feed": "market_data:feed",
    "clock": "market_data:clock",
    "orders": "orders:orders",
    "sink": "history:sink",
    "trainer": "training:trainer",
    "venue": "follow:venue",
}


def component(name: str) -> Run:
    """Return what runs a component; raises ConfigurationError where there is none of this name."""
    if name not in COMPONENTS:
        raise ConfigurationError(f"there is no component {name}", f"the components are {', '.join(COMPONENTS)}")
    module, function = COMPONENTS[name].split(":")
    found: Run = getattr(import_module(f"infra.components.{module}"), function)
    return found


async def run_components(names: tuple[str, ...], settings: Settings, stop: asyncio.Event) -> None:
    """Run some components in this process until ``stop`` is set; the first that fails ends all.

    Raises
    ------
    ConfigurationError
        There is no such component.
    """
    runs = [component(name) for name in names]
    tasks = [asyncio.create_task(run(settings, stop), name=name) for run, name in zip(runs, names, strict=True)]
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    stop.set()
    if left:
        await asyncio.wait(left)
    for task in done | left:
        task.result()
