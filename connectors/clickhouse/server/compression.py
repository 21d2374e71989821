"""Content encodings of requests and answers: gzip, deflate, lz4 (frames) and zstd."""

from __future__ import annotations

import sys
import zlib
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no stubs

from connectors.clickhouse.server.errors import ClickHouseError, Code

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PREFERENCE = ("lz4", "zstd", "gzip", "deflate")
_GZIP = 31
_FAST = 1


class Decoder(Protocol):
    """Undoes an encoding, part by part."""

    def decode(self, data: bytes) -> bytes:
        """Return what these bytes add."""

    def end(self) -> None:
        """Say that there are no more bytes; raises where the encoding was cut off."""


class Encoder(Protocol):
    """Encodes an answer, part by part."""

    def encode(self, data: bytes) -> bytes:
        """Return the encoded bytes that can be sent now."""

    def end(self) -> bytes:
        """Return the last encoded bytes."""


class _Plain:
    def decode(self, data: bytes) -> bytes:
        return data

    def encode(self, data: bytes) -> bytes:
        return data

    def end(self) -> Any:
        return b""


class _Inflating:
    """Decoder over the standard shape of decompressors; takes concatenated frames."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decompressor = self._fresh()
        self._begun = False

    def _fresh(self) -> Any:
        match self._name:
            case "gzip":
                return zlib.decompressobj(_GZIP)
            case "deflate":
                return zlib.decompressobj()
            case "lz4":
                return lz4.frame.LZ4FrameDecompressor()
            case _:
                return zstd.ZstdDecompressor()

    def decode(self, data: bytes) -> bytes:
        out = []
        try:
            while data:
                if self._decompressor.eof:
                    self._decompressor = self._fresh()
                self._begun = True
                out.append(self._decompressor.decompress(data))
                data = (self._decompressor.unused_data or b"") if self._decompressor.eof else b""
        except (zlib.error, RuntimeError, EOFError, zstd.ZstdError) as error:
            raise ClickHouseError(Code.CANNOT_DECOMPRESS, f"the body is not {self._name}: {error}") from error
        return b"".join(out)

    def end(self) -> None:
        if self._begun and not self._decompressor.eof:
            raise ClickHouseError(Code.CANNOT_DECOMPRESS, f"the {self._name} body ends in the middle")


class _Deflating:
    def __init__(self, name: str) -> None:
        self._compressor = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP if name == "gzip" else zlib.MAX_WBITS)

    def encode(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def end(self) -> bytes:
        return self._compressor.flush()


class _Lz4:
    def __init__(self) -> None:
        self._compressor = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return bytes(self._compressor.begin())

    def encode(self, data: bytes) -> bytes:
        return self._begin() + bytes(self._compressor.compress(data))

    def end(self) -> bytes:
        return self._begin() + bytes(self._compressor.flush())


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=_FAST)

    def encode(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data))

    def end(self) -> bytes:
        return bytes(self._compressor.flush())


def decoder(encoding: str) -> Decoder:
    """Return the decoder of a request's ``Content-Encoding``; raises ClickHouseError for one that is not known."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name not in PREFERENCE:
        raise ClickHouseError(Code.NOT_IMPLEMENTED, f"Unknown compression method {encoding}; supported: {', '.join(PREFERENCE)}")
    return _Inflating(name)


def choose(accepted: str) -> str | None:
    """Return the encoding for an answer, given the request's ``Accept-Encoding``; None for a plain one."""
    offered = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    return next((name for name in PREFERENCE if name in offered), None)


def encoder(name: str | None) -> Encoder:
    """Return the encoder of an encoding that ``choose`` named."""
    match name:
        case None:
            return _Plain()
        case "lz4":
            return _Lz4()
        case "zstd":
            return _Zstd()
        case _:
            return _Deflating(name)
