"""Encodings undo themselves, in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse.server.compression import PREFERENCE, choose, decoder, encoder
from connectors.clickhouse.server.errors import ClickHouseError


@pytest.mark.parametrize("name", PREFERENCE)
@given(parts=st.lists(st.binary(max_size=500), max_size=5), cut=st.integers(min_value=1, max_value=50))
def test_what_is_encoded_is_decoded(name: str, parts: list[bytes], cut: int) -> None:
    encode, decode = encoder(name), decoder(name)
    encoded = b"".join([*(encode.encode(part) for part in parts), encode.end()])
    decoded = b"".join(decode.decode(encoded[at : at + cut]) for at in range(0, len(encoded), cut))
    decode.end()
    assert decoded == b"".join(parts)


@pytest.mark.parametrize("name", PREFERENCE)
def test_frames_one_after_another_are_one_body(name: str) -> None:
    def one(data: bytes) -> bytes:
        encode = encoder(name)
        return encode.encode(data) + encode.end()

    assert decoder(name).decode(one(b"a") + one(b"b")) == b"ab"


@pytest.mark.parametrize("name", PREFERENCE)
def test_a_cut_or_broken_body_is_an_error(name: str) -> None:
    encode = encoder(name)
    encoded = encode.encode(b"some text that is long enough" * 10) + encode.end()
    cut = decoder(name)
    cut.decode(encoded[: len(encoded) // 2])
    with pytest.raises(ClickHouseError):
        cut.end()
    with pytest.raises(ClickHouseError):
        decoder(name).decode(b"\xff\xfe not " * 20)


def test_the_client_chooses_and_what_is_unknown_is_refused() -> None:
    assert choose("gzip, deflate;q=0.5, lz4") == "lz4"
    assert choose("br, identity") is None
    with pytest.raises(ClickHouseError):
        decoder("br")
