"""Counts words: a topic of text, a table, a topic of counts; two agents in a row and a web page."""

from __future__ import annotations

import os
from typing import Any

from processors.runtime import App

PREFIX = os.environ["PREFIX"]
NUMBER: Any = int

app = App(f"{PREFIX}-words", broker=os.environ["BROKER"], version=2, topic_partitions=4)
posts = app.topic(f"{PREFIX}-posts", value_type=str, value_serializer="raw")
words = app.topic(f"{PREFIX}-words", key_type=str, value_type=str, value_serializer="raw")
counts = app.topic(f"{PREFIX}-counts", key_type=str, value_type=NUMBER)
word_counts = app.Table("word_counts", default=int, help="How often each word was seen.")


@app.agent(posts)
async def shuffle_words(stream: Any) -> None:
    """Send each word of a post to the partition of the word."""
    async for post in stream:
        for word in post.split():
            await words.send(key=word, value=word)


@app.agent(words)
async def count_words(stream: Any) -> None:
    """Count."""
    async for word in stream:
        word_counts[word] += 1
        await counts.send(key=word, value=word_counts[word])


@app.page("/count/{word}/")
async def get_count(web: Any, _request: Any, word: str) -> Any:
    """Show the committed count of a word."""
    return web.json({word: word_counts[word]})


if __name__ == "__main__":
    app.main()
