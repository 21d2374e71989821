"""Keys and values to bytes and back, compiled once a topic or table from Faust's schemas and codecs.

Faust looks its codec up for each message. Here the common cases (raw bytes, text, a codec object) become one call, and
everything else goes through Faust's own registry, so that what is read and written stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.serializers.codecs import Codec
from faust.serializers.schemas import Schema
from faust.types import AppT, CodecArg, ModelT

Encode = Callable[[Any], bytes | None]
Decode = Callable[[bytes | None], Any]


def _text_or_bytes(value: Any) -> bytes | None:
    if type(value) is bytes or value is None:
        return value
    if type(value) is str:
        return value.encode()
    return bytes(value) if isinstance(value, bytearray | memoryview) else str(value).encode()


def _as_is(data: bytes | None) -> bytes | None:
    return data


def _as_text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def encoder(app: AppT, kind: Any, serializer: CodecArg, *, key: bool) -> Encode:
    """Return the function that serialises keys (``key=True``) or values.

    Parameters
    ----------
    app
        The application, whose registry knows codecs by name.
    kind
        Faust's ``key_type`` or ``value_type``.
    serializer
        Name of a codec, a codec, or None for the application's default.
    key
        Whether it serialises keys.
    """
    default = app.conf.key_serializer if key else app.conf.value_serializer
    named = serializer or (None if kind in (str, bytes) else default)
    if kind in (None, str, bytes) and named in (None, "raw"):
        return _text_or_bytes
    if isinstance(serializer, Codec):
        dumps = serializer.dumps if serializer.children else serializer._dumps

        def encode_by_codec(value: Any) -> bytes | None:
            if value is None or type(value) is bytes:
                return value
            if isinstance(value, ModelT):
                return by_registry(kind, value, serializer=serializer)
            return dumps(value)

        by_registry = app.serializers.dumps_key if key else app.serializers.dumps_value
        return encode_by_codec
    registry_dumps = app.serializers.dumps_key if key else app.serializers.dumps_value
    return lambda value: registry_dumps(kind, value, serializer=serializer)


def decoder(app: AppT, kind: Any, serializer: CodecArg, *, key: bool) -> Decode:
    """Return the function that reads keys or values; see :func:`encoder`."""
    default = app.conf.key_serializer if key else app.conf.value_serializer
    named = serializer or (None if kind in (str, bytes) else default)
    if named in (None, "raw"):
        if kind in (None, bytes):
            return _as_is
        if kind is str:
            return _as_text
    if isinstance(serializer, Codec) and kind is None:
        loads = serializer.loads if serializer.children else serializer._loads
        return lambda data: None if data is None else loads(data)
    if isinstance(serializer, Codec) and kind is str and key:
        text_loads = serializer.loads
        return lambda data: None if data is None else str(text_loads(data))
    registry_loads = app.serializers.loads_key if key else app.serializers.loads_value
    return lambda data: registry_loads(kind, data, serializer=serializer)


def is_plain(schema: Any) -> bool:
    """Return whether a schema is Faust's own, so that its parts can be compiled; a subclass is called as it is."""
    return type(schema) is Schema
