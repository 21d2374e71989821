"""A stage's tables within its one Faust table."""

from __future__ import annotations

import msgspec
import pytest

from processors.runtime import App
from processors.states import States, StatesCodec
from quantum.errors import ConfigurationError, CorruptRecordError


class Seen(msgspec.Struct):
    """A state."""

    count: int = 0
    last: list[float] = []


def test_values_are_read_as_the_type_of_their_table() -> None:
    codec = StatesCodec()
    codec.kinds |= {"seen": msgspec.json.Decoder(Seen), "times": msgspec.json.Decoder(list[int])}
    for value in ({"seen": Seen(3, [0.5])}, {"times": [1, 2]}):
        assert codec.loads(codec.dumps(value)) == value
    assert codec.dumps({"seen": Seen(3, [0.5])}) == b'{"seen":{"count":3,"last":[0.5]}}'  # which a person can read


@pytest.mark.parametrize(
    ("data", "said"),
    [(b'{"seen":{"count":3', "cannot be read"), (b'{"seen":{"count":"three"}}', "cannot be read"), (b'{"gone":{}}', "of 'gone'")],
)
def test_what_no_table_can_have_is_said_with_its_remedy(data: bytes, said: str) -> None:
    codec = StatesCodec()
    codec.kinds["seen"] = msgspec.json.Decoder(Seen)
    with pytest.raises(CorruptRecordError, match=said) as raised:
        codec.loads(data)
    assert "changelog" in raised.value.remedy


def test_a_name_is_of_one_table() -> None:
    states = States(App("states", broker="kafka://127.0.0.1:1"), "states", 1)
    states.table("seen", Seen)
    with pytest.raises(ConfigurationError, match="two tables are called seen"):
        states.table("seen", Seen)
