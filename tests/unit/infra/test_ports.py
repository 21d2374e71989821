"""Ports: asked for, remembered, usual, free; never one that another listens on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from infra.local import ports
from quantum.errors import DependencyError


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def free() -> int:
    return ports.choose("test", explicit=0, remembered=None, usual=1, taken=set())


def test_a_port_that_is_listened_on_is_not_free(listener: int) -> None:
    assert not ports.is_free(listener)
    assert ports.is_free(free())


def test_what_is_asked_for_and_taken_is_an_error_that_names_the_holder(listener: int) -> None:
    with pytest.raises(DependencyError, match=rf"port {listener} for kafka is in use by process {os.getpid()}"):
        ports.choose("kafka", explicit=listener, remembered=None, usual=9092, taken=set())


def test_order_of_preference(listener: int) -> None:
    usual, remembered = free(), free()
    assert ports.choose("x", explicit=None, remembered=remembered, usual=usual, taken=set()) == remembered
    assert ports.choose("x", explicit=None, remembered=listener, usual=usual, taken=set()) == usual
    assert ports.choose("x", explicit=None, remembered=None, usual=listener, taken=set()) in ports.SEARCH
    assert ports.choose("x", explicit=0, remembered=None, usual=usual, taken=set()) != usual
    assert ports.choose("x", explicit=usual, remembered=remembered, usual=listener, taken=set()) == usual


def test_a_port_promised_to_another_server_is_not_given() -> None:
    usual = free()
    assert ports.choose("x", explicit=None, remembered=None, usual=usual, taken={usual}) != usual
    with pytest.raises(DependencyError):
        ports.choose("x", explicit=usual, remembered=None, usual=1, taken={usual})
