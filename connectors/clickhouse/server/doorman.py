"""Lets users in: tells who asks, and how many statements an analyst may have running."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from connectors.clickhouse.server.errors import ClickHouseError, Code
from connectors.clickhouse.server.users import User, Users
from quantum.errors import ConfigurationError

log = logging.getLogger(__name__)
_MOST_WAITING = 32


class Doorman:
    """Lets users in.

    Parameters
    ----------
    users
        Who there is.
    most
        Statements that an analyst may have running at once.
    """

    def __init__(self, users: Users, most: int) -> None:
        self._users = users
        self._most = most
        self._running = Counter[str]()
        self._waiting = 0
        self._hashing = ThreadPoolExecutor(1, "doorman")  # one: those who guess passwords get one core at most

    async def identify(self, name: str, password: str) -> User:
        """Return the user.

        Raises
        ------
        ClickHouseError
            AUTHENTICATION_FAILED, or TOO_MANY_SIMULTANEOUS_QUERIES where too many wait to be told apart.
        """
        try:
            user = self._users.known(name, password)
            if user is not None:
                return user
            if self._waiting >= _MOST_WAITING:
                raise ClickHouseError(Code.TOO_MANY_SIMULTANEOUS_QUERIES, "Too many users wait to be let in")
            self._waiting += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._hashing, self._users.identify, name, password)
            finally:
                self._waiting -= 1
        except ConfigurationError as error:
            log.error("nobody is let in: %s", error)
            raise ClickHouseError(Code.AUTHENTICATION_FAILED, f"{name}: Authentication failed: the list of users cannot be read") from error

    @contextmanager
    def counted(self, user: User) -> Iterator[None]:
        """Count a statement while it runs; raises ClickHouseError where an analyst has too many."""
        if user.analyst and self._running[user.name] >= self._most:
            raise ClickHouseError(
                Code.TOO_MANY_SIMULTANEOUS_QUERIES,
                f"Too many simultaneous queries for user {user.name}. Current: {self._most}, maximum: {self._most}",
            )
        self._running[user.name] += 1
        try:
            yield
        finally:
            self._running[user.name] -= 1

    def close(self) -> None:
        """End its thread."""
        self._hashing.shutdown()
