"""The client of the history store: clickhouse-connect over ClickHouse's HTTP interface."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from connectors.clickhouse.tables import DATABASE
from quantum.errors import ConfigurationError, RetryError
from quantum.settings import Settings

_CONNECT_S = 5
_UNKNOWN_DATABASE = 81
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it logs what it raises as well
_PORTS = {"http": 8123, "https": 8443}


def connect(settings: Settings, *, database: str = DATABASE, timeout_s: int = 300) -> Client:
    """Return a client of the store that the settings name.

    Parameters
    ----------
    settings
        Address, user and password.
    database
        Database that unqualified names belong to.
    timeout_s
        Longest wait for an answer, seconds.

    Raises
    ------
    ConfigurationError
        The address is no URL of ClickHouse's HTTP interface, or the user is refused.
    RetryError
        Nothing answers there.
    """
    return open_client(
        settings.clickhouse,
        settings.clickhouse_user,
        settings.clickhouse_password.get_secret_value(),
        database=database,
        timeout_s=timeout_s,
    )


def open_client(url: str, user: str = "default", password: str = "", *, database: str = DATABASE, timeout_s: int = 300) -> Client:
    """Return a client of the store at a URL; see ``connect``."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or parts.hostname is None:
        raise ConfigurationError(
            f"{url} is no address of ClickHouse's HTTP interface", "set QUANTUM_CLICKHOUSE, for example http://127.0.0.1:8123"
        )
    try:
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            username=user,
            password=password,
            database=database,
            connect_timeout=_CONNECT_S,
            send_receive_timeout=timeout_s,
            autogenerate_session_id=False,
        )
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code is None:
            raise RetryError(f"the history store does not answer at {url}", "start it: quantum up; see quantum status") from error
        if code == _UNKNOWN_DATABASE:
            raise ConfigurationError(f"the history store at {url} has no database {database}", "quantum schemas apply") from error
        remedy = "see QUANTUM_CLICKHOUSE_USER and QUANTUM_CLICKHOUSE_PASSWORD"
        raise ConfigurationError(f"the history store at {url} refuses the client: {error}", remedy) from error
