"""Errors, named by their remedy.

::

    QuantumError
    ├── RetryError             the same call again, later: a broker, registry or store that is away
    ├── AbortTransactionError  abort, rewind, drop the open epoch's writes, do the work again
    ├── FencedError            another worker owns the partitions: stop, drop state, rejoin
    ├── DeadLetterError        this record can never be processed: to the dead-letter topic
    │   ├── UnknownSchemaError     its schema id is not in the registry
    │   └── CorruptRecordError     its bytes are not what its schema says
    ├── StopError              the process must end: nothing that it can do alone will help
    │   ├── ConfigurationError     a setting, topology or schema is wrong
    │   └── DependencyError        a file, port, disk or download that is needed cannot be had
    └── VenueError             a venue refused a request
"""

from __future__ import annotations


class QuantumError(Exception):
    """Base of every error of the platform.

    Parameters
    ----------
    message
        What is wrong, naming the thing.
    remedy
        What to do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n  remedy: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class RetryError(QuantumError):
    """The same call may succeed later."""


class AbortTransactionError(QuantumError):
    """The open transaction must be aborted and its work done again."""


class FencedError(QuantumError):
    """Another worker owns what this one thought was its own."""


class DeadLetterError(QuantumError):
    """A record that can never be processed."""


class UnknownSchemaError(DeadLetterError):
    """The schema id of a record is not in the registry."""


class CorruptRecordError(DeadLetterError):
    """The bytes of a record are not what its schema says."""


class StopError(QuantumError):
    """The process must end; a person has to act."""


class ConfigurationError(StopError):
    """A setting, the topology or a schema is wrong."""


class DependencyError(StopError):
    """A file, port, disk or download that is needed cannot be had."""


class VenueError(QuantumError):
    """A venue refused a request.

    Parameters
    ----------
    message
        What was refused and why.
    code
        The venue's error code, for example -2013.
    status
        The HTTP status.
    remedy
        What to do about it.
    """

    def __init__(self, message: str, *, code: int, status: int, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code
        self.status = status
