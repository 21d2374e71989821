"""Headers that tie a record to the one that caused it: ``causation_id`` and the W3C ``traceparent``."""

from __future__ import annotations

from hashlib import blake2b

CAUSATION = "causation_id"
TRACEPARENT = "traceparent"
_PREFIX_LENGTH = 36  # "00-" + 32 hex digits of the trace id + "-"

Headers = dict[str, bytes]


def root_headers(event_id: str) -> Headers:
    """Return the headers of a record that nothing on the log caused; its trace id is a hash of its own id."""
    digest = blake2b(event_id.encode(), digest_size=24).hexdigest()
    return {TRACEPARENT: f"00-{digest[:32]}-{digest[32:48]}-01".encode()}


def caused_headers(event_id: str, cause_id: str, cause_headers: Headers) -> Headers:
    """Return the headers of a record that another one caused: the cause's trace, a span of its own.

    Parameters
    ----------
    event_id
        Id of the new record.
    cause_id
        Id of the record that caused it.
    cause_headers
        Headers of the record that caused it; without a ``traceparent`` a new trace begins.
    """
    parent = cause_headers.get(TRACEPARENT)
    if parent is None:
        return {**root_headers(event_id), CAUSATION: cause_id.encode()}
    span = blake2b(event_id.encode(), digest_size=8).hexdigest().encode()
    return {TRACEPARENT: parent[:_PREFIX_LENGTH] + span + b"-01", CAUSATION: cause_id.encode()}
