"""Page views by country: records, ``group_by``, tumbling and hopping windows relative to a field, to the stream and to its latest."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import faust
from faust.windows import HoppingWindow

from processors.runtime import App

PREFIX = os.environ["PREFIX"]


class PageView(faust.Record, serializer="json"):
    """One view of a page."""

    page: str
    country: str
    at: float


class Seen(faust.Record, serializer="json"):
    """What the tables say after a view."""

    country: str
    by_field: int
    latest: int
    hopping: int
    before: int
    indexed: int


app = App(f"{PREFIX}-views", broker=os.environ["BROKER"])
views = app.topic(f"{PREFIX}-views", value_type=PageView)
seen = app.topic(f"{PREFIX}-seen", key_type=str, value_type=Seen)
pages = app.Table("pages", default=int)
minutes = app.Table("minutes", default=int).tumbling(timedelta(minutes=1), expires=timedelta(hours=1)).relative_to_field(PageView.at)
latest = app.Table("latest", default=int).tumbling(60.0, expires=3600.0, key_index=True).relative_to_now()
hops = app.Table("hops", default=int).using_window(HoppingWindow(60.0, 20.0, expires=3600.0)).relative_to_stream()


@app.agent(views)
async def count(stream: Any) -> None:
    """Count views of pages and of countries."""
    async for view in stream.group_by(PageView.country):
        pages[view.page] += 1
        minutes[view.country] += 1
        latest[view.country] += 1
        hops[view.country] += 1
        await seen.send(
            key=view.country,
            value=Seen(
                view.country, minutes[view.country].value(), latest[view.country].value(), hops[view.country].current(),
                hops[view.country].delta(3000.0), len(set(latest.keys())),
            ),
        )  # fmt: skip


if __name__ == "__main__":
    app.main()
