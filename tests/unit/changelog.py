"""A stage's state as it is after a restart: through the codec of its changelog."""

from __future__ import annotations

from typing import cast

import msgspec

from processors.states import StatesCodec, StateT


def written(state: msgspec.Struct) -> bytes:
    """Return a state as the changelog has it."""
    return _codec(state).dumps({"table": state})


def restored(state: StateT) -> StateT:
    """Return a state as it is read back from the changelog."""
    return cast(StateT, _codec(state).loads(written(state))["table"])


def _codec(state: msgspec.Struct) -> StatesCodec:
    codec = StatesCodec()
    codec.kinds["table"] = msgspec.json.Decoder(type(state))
    return codec
