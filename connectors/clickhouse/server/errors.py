"""ClickHouse's errors: their codes, their HTTP status, and how they are read from the engine's text."""

from __future__ import annotations

import re
from enum import IntEnum

_TEXT = re.compile(r"Code: (\d+)\. (DB::Exception: .*)", re.DOTALL)
_ENGINE_FAILED = 1001
"""STD_EXCEPTION: what ClickHouse answers for an error that is not one of its own."""


class Code(IntEnum):
    """Codes that the HTTP face itself raises."""

    UNKNOWN_FORMAT = 73
    CANNOT_DECOMPRESS = 271
    NOT_IMPLEMENTED = 48
    SYNTAX_ERROR = 62
    BAD_ARGUMENTS = 36
    READONLY = 164
    ACCESS_DENIED = 497
    SETTING_CONSTRAINT_VIOLATION = 452
    TOO_DEEP_RECURSION = 306
    UNKNOWN_SETTING = 115
    UNKNOWN_STATUS_OF_INSERT = 319
    QUERY_IS_TOO_LARGE = 552
    AUTHENTICATION_FAILED = 516
    REQUIRED_PASSWORD = 194
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    INCORRECT_DATA = 117


_STATUS: dict[int, int] = {
    **dict.fromkeys((6, 26, 27, 32, 33, 36, 38, 41, 53, 62, 69, 70, 72, 117, 130, 131, 321, 386, 427, 441, 457, 467, 271), 400),
    Code.REQUIRED_PASSWORD: 401,
    **dict.fromkeys((192, 193, 497, 516), 403),
    **dict.fromkeys((16, 28, 34, 43, 46, 47, 50, 56, 60, 71, 73, 75, 81, 115, 170, 279, 282, 372), 404),
    159: 408,
    381: 411,
    552: 413,
    48: 501,
    **dict.fromkeys((76, 209), 503),
}


class ClickHouseError(Exception):
    """An error as ClickHouse answers it.

    Parameters
    ----------
    code
        ClickHouse's number of the error.
    message
        What is wrong.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = int(code)
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status that ClickHouse gives this error."""
        return _STATUS.get(self.code, 500)

    def text(self, version: str) -> str:
        """Return the body of the answer."""
        name = (
            f" ({Code(self.code).name})"
            if self.code in Code.__members__.values() and f"({Code(self.code).name})" not in self.message
            else ""
        )
        return f"Code: {self.code}. DB::Exception: {self.message}{name} (version {version})\n"


def from_engine(error: Exception) -> ClickHouseError:
    """Return the error that the engine's text tells of."""
    found = _TEXT.search(str(error))
    if found is None:
        return ClickHouseError(_ENGINE_FAILED, f"{type(error).__name__}: {error}")
    return ClickHouseError(int(found[1]), found[2].removeprefix("DB::Exception: ").strip())
