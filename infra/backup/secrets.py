"""Files that nobody may read without the passphrase: scrypt and AES-256-GCM."""

from __future__ import annotations

import secrets

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from quantum.errors import ConfigurationError

LEAST_PASSPHRASE = 12
_SALT_BYTES = 16
_NONCE_BYTES = 12
_KEY_BYTES = 32
_COST = 2**16  # 64 MB and some 0.2 s a try
_MOST_COST = 2**20
_BLOCK = 8


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """An encrypted file.

    Attributes
    ----------
    salt, nonce : bytes
        Of the key, and of the cipher.
    cost : int
        scrypt's n.
    data : bytes
        The file, encrypted and authenticated together with its name.
    """

    salt: bytes
    nonce: bytes
    cost: int
    data: bytes


def seal(name: str, data: bytes, passphrase: str) -> bytes:
    """Return a file encrypted.

    Parameters
    ----------
    name
        Its name; it can be opened under this name only.
    data
        Its bytes.
    passphrase
        What opens it.

    Raises
    ------
    ConfigurationError
        The passphrase is too short.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise ConfigurationError("the passphrase is too short", f"take {LEAST_PASSPHRASE} characters or more")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(_key(passphrase, salt, _COST)).encrypt(nonce, data, name.encode())
    return msgspec.json.encode(Sealed(salt=salt, nonce=nonce, cost=_COST, data=sealed))


def unseal(name: str, sealed: bytes, passphrase: str) -> bytes:
    """Return an encrypted file's bytes.

    Raises
    ------
    ConfigurationError
        The passphrase is another one, or the file has been changed.
    """
    try:
        found = msgspec.json.decode(sealed, type=Sealed)
        if not 2 <= found.cost <= _MOST_COST:
            raise ValueError(f"cost {found.cost}")
        return AESGCM(_key(passphrase, found.salt, found.cost)).decrypt(found.nonce, found.data, name.encode())
    except InvalidTag as error:
        raise ConfigurationError(f"{name} cannot be decrypted: the passphrase is another one, or the file has been changed") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigurationError(f"{name} is no encrypted file: {error}", "take another copy of the backup") from error


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=_BLOCK, p=1).derive(passphrase.encode())
