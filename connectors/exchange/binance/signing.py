"""Request signing as Binance documents it: HMAC-SHA256 over the query string exactly as it is sent, in hexadecimal."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import urlencode

Parameter = str | int | bool | Decimal


def sign(secret: str, query: str) -> str:
    """Return the signature of a query string."""
    return hmac.new(secret.encode(), query.encode(), "sha256").hexdigest()


def query_of(parameters: Mapping[str, Parameter]) -> str:
    """Return parameters as a query string in their order; decimals without an exponent, booleans in lower case."""
    return urlencode({name: _text(value) for name, value in parameters.items()})


def signed_query(secret: str, parameters: Mapping[str, Parameter], timestamp_ms: int, recv_window_ms: int) -> str:
    """Return the query string of a signed request: the parameters, how long it is valid, its time, its signature."""
    query = query_of({**parameters, "recvWindow": recv_window_ms, "timestamp": timestamp_ms})
    return f"{query}&signature={sign(secret, query)}"


def _text(value: Parameter) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
