"""A registry as a whole: what it says, and its content carried to another with every id.

The Confluent-compatible interface of Apicurio gives a schema whatever id comes next, so ids are carried by Apicurio's own export
and import, and what came of it is compared by the compatible interface, as every client sees it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec

from quantum.errors import ConfigurationError, RetryError

_TIMEOUT_S = 60.0
_ADMIN = "/apis/registry/v3/admin"
_NOT_FOUND = 404
_REMEDY = "see quantum status"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a subject: its number, the schema's id, and the schema."""

    version: int
    id: int
    schema: str


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A subject: its compatibility level, None where it has none of its own, and its versions in order."""

    level: str | None
    versions: list[Version]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a registry says: the level that holds for subjects without one of their own, and its subjects by name."""

    level: str
    subjects: dict[str, Subject]


class Transfer:
    """Carries the content of a registry.

    Parameters
    ----------
    url
        Base URL of its Confluent-compatible interface.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def subjects(self) -> list[str]:
        """Return the names of its subjects; raises RetryError where it does not answer."""
        with self._client() as client:
            return sorted(self._json(client, "/subjects"))

    def listing(self) -> Listing:
        """Return what the registry says.

        Raises
        ------
        RetryError
            It does not answer.
        """
        subjects = {}
        with self._client() as client:
            for name in self.subjects():
                numbers = self._json(client, f"/subjects/{name}/versions")
                subjects[name] = Subject(
                    level=self._level(client, f"/config/{name}"), versions=[self._version(client, name, n) for n in numbers]
                )
            return Listing(level=self._level(client, "/config") or "NONE", subjects=subjects)

    def dump(self) -> bytes:
        """Return all of its content, as Apicurio's own archive.

        Raises
        ------
        ConfigurationError
            It is not Apicurio.
        RetryError
            It does not answer.
        """
        with self._client() as client:
            answer = self._ask(client, "GET", f"{self._admin()}/export", params={"forBrowser": "false"})
            if answer.status_code == _NOT_FOUND:
                raise ConfigurationError(
                    f"the registry at {self._url} is not Apicurio 3, whose export keeps every id",
                    "set QUANTUM_REGISTRY to one that is",
                )
            return self._good(answer).content

    def load(self, content: bytes) -> None:
        """Fill an empty registry with what ``dump`` gave.

        Raises
        ------
        ConfigurationError
            It is not empty, or not Apicurio.
        RetryError
            It does not answer.
        """
        with self._client() as client:
            answer = self._ask(client, "POST", f"{self._admin()}/import", content=content, headers={"Content-Type": "application/zip"})
            if answer.status_code in (_NOT_FOUND, 409):
                raise ConfigurationError(
                    f"the registry at {self._url} takes no content: {answer.text[:200]}", "it must be an empty registry of Apicurio 3"
                )
            self._good(answer)

    def _version(self, client: httpx2.Client, subject: str, number: int) -> Version:
        found = self._json(client, f"/subjects/{subject}/versions/{number}")
        return Version(version=found["version"], id=found["id"], schema=found["schema"])

    def _level(self, client: httpx2.Client, path: str) -> str | None:
        answer = self._ask(client, "GET", self._url + path)
        if answer.status_code == _NOT_FOUND:
            return None
        level = self._good(answer).json().get("compatibilityLevel")
        return None if level is None else str(level)

    def _json(self, client: httpx2.Client, path: str) -> Any:
        return self._good(self._ask(client, "GET", self._url + path)).json()

    def _ask(self, client: httpx2.Client, method: str, url: str, **options: Any) -> httpx2.Response:
        try:
            return client.request(method, url, **options)
        except httpx2.HTTPError as error:
            raise RetryError(f"the schema registry at {self._url} does not answer: {error}", _REMEDY) from error

    def _good(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.is_error:
            raise RetryError(f"the schema registry at {answer.url} answers {answer.status_code}: {answer.text[:200]}", _REMEDY)
        return answer

    def _admin(self) -> str:
        parts = urlsplit(self._url)
        return urlunsplit((parts.scheme, parts.netloc, _ADMIN, "", ""))

    @staticmethod
    def _client() -> httpx2.Client:
        return httpx2.Client(timeout=_TIMEOUT_S)
