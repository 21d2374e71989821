"""Tokens of ClickHouse's SQL, as far as telling statements apart needs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|\#[\ !][^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<heredoc>\$(?P<tag>[^$]*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>`(?:[^`\\]|\\.|``)*(?:`|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z))
    | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    | (?P<number>[0-9][A-Za-z0-9_.]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token that is neither space nor comment.

    Attributes
    ----------
    kind
        ``word``, ``quoted`` (a quoted identifier), ``string``, ``heredoc``, ``number`` or ``sign``.
    text
        The token as written.
    start, end
        Where it is in the statement.
    depth
        How many brackets are open around it.
    """

    kind: str
    text: str
    start: int
    end: int
    depth: int

    @property
    def keyword(self) -> str:
        """The word in upper case; empty for anything that cannot be a keyword."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The identifier without its quotes; empty for anything else."""
        if self.kind == "word":
            return self.text
        return self.text[1:-1] if self.kind == "quoted" else ""


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a statement, lazily: what follows the last one that is asked for is not looked at."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind == "tag":
            kind = "heredoc"
        if kind == "space":
            continue
        found = match.group()
        if found in _CLOSING:
            depth = max(depth - 1, 0)
        yield Token(kind, found, match.start(), match.end(), depth)
        if found in _OPENING:
            depth += 1


def statements(text: str) -> Iterator[str]:
    """Yield the statements of a text, without the semicolons between them."""
    start, empty = 0, True
    for token in tokens(text):
        if token.kind == "sign" and token.text == ";":
            if not empty:
                yield text[start : token.start].strip()
            start, empty = token.end, True
        else:
            empty = False
    if not empty:
        yield text[start:].strip()
