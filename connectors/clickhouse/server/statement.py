"""What a statement is: whether it reads, inserts or changes, in which format, and where its data begins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum

from connectors.clickhouse.lexer import Token, tokens
from connectors.clickhouse.server.errors import ClickHouseError, Code

STREAMED = frozenset(
    {
        "csv", "jsoneachrow", "jsonlines", "ndjson", "jsoncompacteachrow",
        "jsonstringseachrow", "jsoncompactstringseachrow", "lineasstring",
        "msgpack", "native", "null", "rowbinary", "tabseparated", "tabseparatedraw", "tsv", "tsvraw", "raw",
    }
)  # fmt: skip
"""Formats whose parts are, one after another, the whole: no header, no footer, no separator."""
_READS = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS"})
_STREAMS = frozenset({"SELECT", "WITH", "FROM"})
_DEFINES = frozenset({"CREATE", "ATTACH", "REPLACE"})
_CONSUMING_ENGINES = frozenset({"kafka", "rabbitmq", "nats"})


class Kind(StrEnum):
    """What a statement does."""

    READ = "READ"
    INSERT = "INSERT"
    """An insert whose rows come as data; INSERT ... SELECT is a CHANGE."""
    SESSION = "SESSION"
    CHANGE = "CHANGE"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes
    ----------
    kind
        What it does.
    sql
        Its text; for an insert without FORMAT, VALUES and data.
    format
        Format that it names itself: of the answer, or of an insert's data. None where it names none.
    streams
        Whether the engine can hand out its rows while it runs.
    data_start
        For an insert, the position in the text where data begins.
    """

    kind: Kind
    sql: str
    format: str | None = None
    streams: bool = False
    data_start: int = 0


def parse(text: bytes) -> Statement:
    """Tell what a statement is.

    Parameters
    ----------
    text
        The statement, UTF-8; for an insert perhaps followed by the beginning of its data, which is not looked at.

    Raises
    ------
    ClickHouseError
        There is none, or more than one, or it is one that this store refuses.
    """
    plain = text.decode("latin-1")  # one character a byte, so that positions are positions of bytes
    found = list[Token]()
    for token in tokens(plain):
        found.append(token)
        if found[0].keyword == "INSERT" and (insert := _insert(text, found)) is not None:
            return insert
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        raise ClickHouseError(Code.SYNTAX_ERROR, "Syntax error: Empty query")
    if any(token.text == ";" and token.kind == "sign" for token in found):
        raise ClickHouseError(Code.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    sql = text[: found[-1].end].decode("utf-8", "surrogateescape")
    first = next((token.keyword for token in found if token.text != "("), "")
    top = [token for token in found if token.depth == 0]
    words = [token.keyword for token in top]
    if first == "INSERT":  # neither FORMAT nor VALUES nor SELECT: Values, in the body
        return Statement(Kind.INSERT, sql, "Values", data_start=len(text))
    if first in _DEFINES:
        _refuse_consumers(found)
    if any(pair == ("INTO", "OUTFILE") for pair in itertools.pairwise(words)):
        raise ClickHouseError(Code.NOT_IMPLEMENTED, "INTO OUTFILE is not allowed over HTTP; the rows come in the answer")
    if first in ("SET", "USE"):
        return Statement(Kind.SESSION, sql)
    if first not in _READS or "INSERT" in words:
        return Statement(Kind.CHANGE, sql)
    named = _named_format(top)
    return Statement(Kind.READ, sql, named, streams=first in _STREAMS)


def _insert(text: bytes, found: list[Token]) -> Statement | None:
    """Return the insert as soon as its head is complete."""
    last = found[-1]
    before = found[-2] if len(found) > 1 else last
    if last.depth or len(found) < 3:
        return None
    if last.keyword in ("SELECT", "WITH") and before.keyword not in ("INTO", "TABLE"):
        rest = [token for token in tokens(text.decode("latin-1")) if token.text == ";" and token.kind == "sign"]
        if rest and text[rest[0].end :].strip():
            raise ClickHouseError(Code.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
        return Statement(Kind.CHANGE, text.decode("utf-8", "surrogateescape"))
    if last.keyword == "INFILE" and before.keyword == "FROM":
        raise ClickHouseError(Code.NOT_IMPLEMENTED, "FROM INFILE is not allowed over HTTP; send the rows as data")
    if last.keyword == "VALUES" and before.keyword not in ("INTO", "TABLE", "FORMAT"):
        return Statement(Kind.INSERT, _head(text, last), "Values", data_start=last.end)
    if before.keyword == "FORMAT" and last.kind == "word" and found[-3].keyword not in ("INSERT", "INTO", "TABLE"):
        return Statement(Kind.INSERT, _head(text, before), last.text, data_start=_after_newline(text, last.end))
    return None


def _head(text: bytes, token: Token) -> str:
    return text[: token.start].decode("utf-8", "surrogateescape")


def _after_newline(text: bytes, position: int) -> int:
    """Return where data begins after FORMAT: past blanks and one line end."""
    while position < len(text) and text[position : position + 1] in (b" ", b"\t", b"\r"):
        position += 1
    return position + 1 if text[position : position + 1] == b"\n" else position


def _named_format(top: list[Token]) -> str | None:
    for index, token in enumerate(top[:-1]):
        after = top[index + 2].keyword if index + 2 < len(top) else "SETTINGS"
        if index and token.keyword == "FORMAT" and top[index + 1].kind == "word" and after == "SETTINGS":
            return top[index + 1].text
    return None


def _refuse_consumers(found: list[Token]) -> None:
    for index, token in enumerate(found[:-1]):
        following = found[index + 1]
        if token.keyword == "ENGINE" and following.text == "=" and index + 2 < len(found):
            following = found[index + 2]
        if token.keyword == "ENGINE" and following.name.lower() in _CONSUMING_ENGINES:
            raise ClickHouseError(
                Code.NOT_IMPLEMENTED,
                f"ENGINE = {following.name} is refused: in this store it would leave metadata that keeps the path from opening again. "
                "Topics are carried into tables by 'quantum worker sink'",
            )
