"""Who may ask the local store: the platform's own user, and analysts, who may only read.

The analysts are in one file, with salted hashes (scrypt) of their passwords; ``quantum history users`` edits it. It is read
again when it changes, so that a user who is removed is refused from the next request on.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec
from pydantic import SecretStr

from connectors.clickhouse.server.errors import ClickHouseError, Code
from quantum.errors import ConfigurationError

FILE = "history-users.json"
"""Its name in the platform's home."""
LEAST_PASSWORD = 12
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}")
_SALT_BYTES = 16
_COST = 2**14  # 16 MB and some 40 ms a try


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An analyst.

    Attributes
    ----------
    salt, digest : bytes
        Salt, and scrypt of the password with it.
    """

    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> Entry:
        """Return the entry of a password, with a fresh salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(salt=salt, digest=_digest(password, salt))

    def fits(self, password: str) -> bool:
        """Whether this is the password; takes as long for one that is wrong."""
        return hmac.compare_digest(self.digest, _digest(password, self.salt))


@dataclass(frozen=True, slots=True)
class User:
    """Who asks.

    Attributes
    ----------
    name
        The name.
    analyst
        Whether they may only read.
    """

    name: str
    analyst: bool


class Analysts:
    """The file of the analysts.

    Parameters
    ----------
    path
        The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> tuple[int, int, int]:
        """Return what changes whenever the file does; zeros without one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def read(self) -> dict[str, Entry]:
        """Return the analysts by name.

        Raises
        ------
        ConfigurationError
            The file cannot be read as what ``write`` wrote.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, Entry])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"{self.path} cannot be read: {error}", "remove it, and add the users again: quantum history users add"
            ) from error

    def add(self, name: str, password: str) -> None:
        """Add an analyst, or give one another password.

        Raises
        ------
        ConfigurationError
            The name is none, or the password is too short.
        """
        if not _NAME.fullmatch(name) or name == "default":
            raise ConfigurationError(f"{name!r} is no name for an analyst", "letters, digits and _ . @ -, at most 64, and not 'default'")
        if len(password) < LEAST_PASSWORD:
            raise ConfigurationError(
                "the password is too short", f"take {LEAST_PASSWORD} characters or more, or let the command make one up"
            )
        self._write({**self.read(), name: Entry.of(password)})

    def remove(self, name: str) -> bool:
        """Remove an analyst; returns whether there was one."""
        entries = self.read()
        found = entries.pop(name, None) is not None
        if found:
            self._write(entries)
        return found

    def _write(self, entries: dict[str, Entry]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(entries), indent=2))
        aside.replace(self.path)


class Users:
    """Tells who asks from name and password.

    Parameters
    ----------
    owner, password
        The platform's own user, who may do everything.
    analysts
        Those who may only read; None for none.
    """

    def __init__(self, owner: str = "default", password: SecretStr | None = None, analysts: Analysts | None = None) -> None:
        self._owner = User(owner, analyst=False)
        self._password = _bytes((password or SecretStr("")).get_secret_value())
        self._analysts = analysts
        self._lock = threading.Lock()
        self._stamp = (-1, -1, -1)
        self._entries: dict[str, Entry] = {}
        self._key = secrets.token_bytes(32)
        self._seen: dict[str, bytes] = {}
        self._nobody = Entry.of(secrets.token_hex())

    def check(self) -> None:
        """Refuse analysts beside a user who may do everything without a password.

        Raises
        ------
        ConfigurationError
            There are analysts, and the platform's own user has no password; or their file cannot be read.
        """
        if self._refreshed() and not self._password:
            raise ConfigurationError(
                "the history store has analysts, but its own user has no password, so that anybody could ask in its name",
                "set QUANTUM_CLICKHOUSE_PASSWORD for the store and for every process of the platform",
            )

    def known(self, name: str, password: str) -> User | None:
        """Return the user, if that can be told without hashing: the platform's own, or an analyst whose password was right before."""
        if hmac.compare_digest(_bytes(name), _bytes(self._owner.name)):
            return self._owner if hmac.compare_digest(_bytes(password), self._password) else None
        if name in self._refreshed() and hmac.compare_digest(self._seen.get(name, b""), self._mark(name, password)):
            return User(name, analyst=True)
        return None

    def identify(self, name: str, password: str) -> User:
        """Return the user; takes tens of milliseconds: not for the event loop.

        Raises
        ------
        ClickHouseError
            There is no such user, or that is not the password; the two cannot be told apart.
        """
        user = self.known(name, password)
        if user is None and name != self._owner.name:
            entry = self._refreshed().get(name)
            if (entry or self._nobody).fits(password) and entry is not None:
                with self._lock:
                    if self._entries.get(name) is entry:  # else it has been changed meanwhile
                        self._seen[name] = self._mark(name, password)
                user = User(name, analyst=True)
        if user is None:
            raise ClickHouseError(
                Code.AUTHENTICATION_FAILED, f"{name}: Authentication failed: password is incorrect, or there is no user with such name."
            )
        return user

    def _refreshed(self) -> dict[str, Entry]:
        if self._analysts is None:
            return {}
        with self._lock:
            stamp = self._analysts.stamp()
            if stamp != self._stamp:
                self._entries, self._stamp, self._seen = self._analysts.read(), stamp, {}
            return self._entries

    def _mark(self, name: str, password: str) -> bytes:
        """Return what is kept of a password that was right: a hash that is worth nothing outside of this process."""
        return hmac.digest(self._key, _bytes(f"{name}\0{password}"), "sha256")


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(_bytes(password), salt=salt, n=_COST, r=8, p=1)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
