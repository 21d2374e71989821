"""The schema registry: ids of schemas, schemas of ids, compatibility."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from connectors.registry.cache import SchemaCache
from quantum.errors import ConfigurationError, QuantumError, RetryError, UnknownSchemaError

log = logging.getLogger(__name__)

NOT_FOUND = 404
CONFLICT = 409
TIMEOUT_S = 3.0
#: After a call that was not answered the next ones fail at once for so long: a worker that waits must not block its loop meanwhile.
AGAIN_S = 1.0
_REMIND_S = 10.0
_REMEDY = "see 'quantum status', start it with 'quantum up'; what waits for it goes on by itself"
ResultT = TypeVar("ResultT")


class Registry:
    """A Confluent-compatible registry; what it answers about an id is kept, because that never changes.

    While the registry is away, schemas that were asked for before are answered from memory, or from the folder.

    Parameters
    ----------
    url
        Base URL, for example ``http://127.0.0.1:8081/apis/ccompat/v7``.
    folder
        Where answers are kept for processes that start while the registry is away; None for memory only.
    """

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self.url = url
        self._client = SchemaRegistryClient(
            {"url": url, "timeout": TIMEOUT_S, "max.retries": 2, "retries.wait.ms": 100, "retries.max.wait.ms": 500}
        )
        self._cache = None if folder is None else SchemaCache(folder, url)
        self._ids: dict[tuple[str, str], int] = {}
        self._texts: dict[int, str] = {}
        self._failed = ""
        self._failed_at = 0.0
        self._told_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def id_of(self, subject: str, schema: str) -> int:
        """Return the id of a schema registered under a subject; never registers one.

        Raises
        ------
        ConfigurationError
            The subject does not have this schema.
        RetryError
            The registry is away and the answer is not known.
        """
        found = self.find(subject, schema)
        if found is None:
            raise ConfigurationError(f"{subject} does not have the schema of this code in {self.url}", "run 'quantum schemas apply'")
        return found

    def find(self, subject: str, schema: str) -> int | None:
        """Return the id of a schema under a subject, or None where it is not registered."""
        known = self._ids.get((subject, schema))
        if known is not None:
            return known
        found = self._known_or_asked(
            f"the id of the schema of {subject}",
            lambda: None if self._cache is None else self._cache.id_under(subject, schema),
            lambda: self._look_up(subject, schema),
        )
        if found is None:
            return None
        self._keep(subject, schema, found)
        return found

    def _look_up(self, subject: str, schema: str) -> int | None:
        try:
            return self._client.lookup_schema(subject, Schema(schema, "AVRO")).schema_id
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                return None
            raise

    def schema_of(self, schema_id: int) -> str:
        """Return the text of a schema.

        Raises
        ------
        UnknownSchemaError
            The registry has no schema of this id.
        RetryError
            The registry is away and the schema is not known.
        """
        known = self._texts.get(schema_id)
        if known is not None:
            return known
        text = self._known_or_asked(
            f"schema id {schema_id}",
            lambda: None if self._cache is None else self._cache.text(schema_id),
            lambda: self._fetch(schema_id),
        )
        self._texts[schema_id] = text
        if self._cache is not None:
            self._cache.keep_text(schema_id, text)
        return text

    def _fetch(self, schema_id: int) -> str:
        try:
            text = self._client.get_schema(schema_id).schema_str
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                raise UnknownSchemaError(f"schema id {schema_id} is not in {self.url}") from error
            raise
        if text is None:
            raise UnknownSchemaError(f"schema id {schema_id} has no text in {self.url}")
        return text

    def _known_or_asked(self, what: str, known: Callable[[], ResultT | None], ask: Callable[[], ResultT]) -> ResultT:
        """Ask; where there is no answer, take what is kept on disk."""
        try:
            if self._failed and time.monotonic() - self._failed_at < AGAIN_S:
                raise RetryError(self._failed, _REMEDY)
            with self._answers():
                return ask()
        except RetryError as away:
            found = known()
            if found is not None:
                return found
            now = time.monotonic()
            if now - self._told_at > _REMIND_S:
                self._told_at = now
                log.warning("%s is not known here, waiting for it: %s", what, away)
            raise RetryError(f"{what} is not known here, and {away.message}", away.remedy) from away

    def _keep(self, subject: str, schema: str, schema_id: int) -> None:
        self._ids[subject, schema] = schema_id
        if self._cache is not None:
            self._cache.keep_id(subject, schema, schema_id)

    def close(self) -> None:
        """Close the connections to the registry."""
        self._client.close()

    def compatible(self, subject: str, schema: str) -> bool:
        """Return whether a schema may follow all the versions of a subject; true for a subject without a version."""
        with self._answers():
            try:
                return self._client.test_compatibility_all_versions(subject, Schema(schema, "AVRO"))
            except SchemaRegistryError as error:
                if error.http_status_code == NOT_FOUND:
                    return True
                raise

    def latest(self, subject: str) -> str:
        """Return the newest schema of a subject that has one."""
        with self._answers():
            return str(self._client.get_latest_version(subject).schema.schema_str)

    def register(self, subject: str, schema: str) -> int:
        """Register a schema and return its id; raises ConfigurationError where it breaks the subject's compatibility."""
        with self._answers():
            try:
                schema_id = self._client.register_schema(subject, Schema(schema, "AVRO"))
            except SchemaRegistryError as error:
                if error.http_status_code == CONFLICT:
                    remedy = "give new fields a default, or make it a new topic"
                    raise ConfigurationError(f"{subject}: the schema breaks compatibility: {error.error_message}", remedy) from error
                raise
        self._keep(subject, schema, schema_id)
        return schema_id

    def level(self, subject: str) -> str | None:
        """Return the compatibility level that a subject itself has, or None."""
        with self._answers():
            try:
                return self._client.get_compatibility(subject)
            except SchemaRegistryError as error:
                if error.http_status_code == NOT_FOUND:
                    return None
                raise

    def set_level(self, subject: str, level: str) -> None:
        """Set the compatibility level of a subject."""
        with self._answers():
            self._client.set_compatibility(subject, level)

    def subjects(self) -> list[str]:
        """Return the subjects that it has."""
        with self._answers():
            return sorted(self._client.get_subjects())

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, SchemaRegistryError) as error:
            if not self._failed:
                log.warning("the schema registry at %s is away, going on with the schemas that are known: %s", self.url, error)
            self._failed = f"the schema registry at {self.url} does not answer as it should: {error}"
            self._failed_at = time.monotonic()
            raise RetryError(self._failed, _REMEDY) from error
        except QuantumError:  # an answer, too
            self._answered()
            raise
        self._answered()

    def _answered(self) -> None:
        if self._failed:
            log.info("the schema registry at %s answers again", self.url)
            self._failed = ""
