"""The schema registry: ids of schemas, schemas of ids, compatibility."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from quantum.errors import ConfigurationError, RetryError, UnknownSchemaError

NOT_FOUND = 404
CONFLICT = 409


class Registry:
    """A Confluent-compatible registry; what it answers about an id is kept, because that never changes.

    Parameters
    ----------
    url
        Base URL, for example ``http://127.0.0.1:8081/apis/ccompat/v7``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = SchemaRegistryClient({"url": url, "max.retries": 3, "retries.wait.ms": 100, "retries.max.wait.ms": 1000})
        self._ids: dict[tuple[str, str], int] = {}
        self._texts: dict[int, str] = {}

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
        with self._answers():
            try:
                found = self._client.lookup_schema(subject, Schema(schema, "AVRO"))
            except SchemaRegistryError as error:
                if error.http_status_code == NOT_FOUND:
                    return None
                raise
        if found.schema_id is None:
            return None
        return self._ids.setdefault((subject, schema), found.schema_id)

    def schema_of(self, schema_id: int) -> str:
        """Return the text of a schema.

        Raises
        ------
        UnknownSchemaError
            The registry has no schema of this id.
        """
        if schema_id not in self._texts:
            with self._answers():
                try:
                    text = self._client.get_schema(schema_id).schema_str
                except SchemaRegistryError as error:
                    if error.http_status_code == NOT_FOUND:
                        raise UnknownSchemaError(f"schema id {schema_id} is not in {self.url}") from error
                    raise
            if text is None:
                raise UnknownSchemaError(f"schema id {schema_id} has no text in {self.url}")
            self._texts[schema_id] = text
        return self._texts[schema_id]

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
        return self._ids.setdefault((subject, schema), schema_id)

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
            raise RetryError(f"the schema registry at {self.url} does not answer as it should: {error}", "quantum status") from error
