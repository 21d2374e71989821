"""Records of every topic, made by hypothesis from their types."""

from __future__ import annotations

import typing
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any

import msgspec
from hypothesis import strategies as st

LONG = st.integers(min_value=-(2**62), max_value=2**62)
INT = st.integers(min_value=-(2**31), max_value=2**31 - 1)
DECIMAL = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: INT,
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    Decimal: DECIMAL,
    NoneType: st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a field's type."""
    origin = typing.get_origin(kind)
    if origin in (UnionType, typing.Union):
        return st.one_of(*(values(each) for each in typing.get_args(kind)))
    if origin is list:
        return st.lists(values(typing.get_args(kind)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values(typing.get_args(kind)[1]), max_size=3)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return records(kind)
    return SCALARS[kind]


def records(record: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return a strategy for a record type."""
    hints = typing.get_type_hints(record)
    return st.builds(record, **{name: values(hints[name]) for name in record.__struct_fields__})
