"""The key file of a Google service account, as an admin uploads it. The key is kept encrypted and shown nowhere; the account's
address, its client id and the key's id are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

MOST_BYTES = 50_000
KIND = "service_account"
NEEDED = ("client_email", "client_id", "private_key_id", "private_key")
LONGEST = {"client_email": 254, "client_id": 64, "private_key_id": 64}
MAKE_ONE = "In the Google Cloud console: IAM, Service accounts, the account, Keys, Add key, JSON."


class AccountRefused(ValueError):
    """A file that is no key of a service account; the sentence says why, and never what stands in it."""


@dataclass(frozen=True, slots=True)
class AccountKey:
    """One key of one service account."""

    email: str
    client_id: str
    key_id: str
    key: str = field(repr=False)  # PEM

    def shown(self) -> dict[str, str]:
        """Returns what may be seen of it, as it is stored among a connection's settings."""
        return {"email": self.email, "client_id": self.client_id, "key_id": self.key_id}

    def secret(self) -> dict[str, str]:
        """Returns what the connector signs with. The addresses in the file are left behind: tokens are asked for where the
        connection says."""
        own = {"client_email": self.email, "client_id": self.client_id, "private_key_id": self.key_id, "private_key": self.key}
        return {"type": KIND, **own}


def account_shown(secret: Mapping[str, Any]) -> dict[str, str]:
    """Returns what may be seen of a key that is stored."""
    return {"email": str(secret["client_email"]), "client_id": str(secret["client_id"]), "key_id": str(secret["private_key_id"])}


def account_read(data: bytes) -> AccountKey:
    """Returns the key that stands in the file. Raises AccountRefused."""
    if len(data) > MOST_BYTES:
        raise AccountRefused("The key file of a service account takes a few thousand bytes; this file is none.")
    said = _object(data)
    values = {name: said.get(name) for name in NEEDED}
    missing = [name for name, value in values.items() if not (isinstance(value, str) and value.strip())]
    if missing:
        raise AccountRefused(f"The file lacks {' and '.join(missing)}. Choose it as Google gave it out. {MAKE_ONE}")
    texts = {name: str(value).strip() for name, value in values.items()}
    if any(len(texts[name]) > most or not texts[name].isprintable() for name, most in LONGEST.items()) or "@" not in texts["client_email"]:
        raise AccountRefused(f"The file names no account that Google could have made. {MAKE_ONE}")
    _check_key(texts["private_key"])
    return AccountKey(texts["client_email"], texts["client_id"], texts["private_key_id"], texts["private_key"])


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        hint = " This is a PEM or P12 file; make the key as JSON." if b"PRIVATE KEY" in data or data[:1] == b"0" else ""
        raise AccountRefused(f"The file is no JSON.{hint} {MAKE_ONE}") from None
    if not isinstance(said, dict):
        raise AccountRefused(f"The file is no key of a service account. {MAKE_ONE}")
    if "installed" in said or "web" in said:
        raise AccountRefused(
            f"This is the file of an OAuth client, and no key of a service account. Choose the other way to log in, or: {MAKE_ONE}"
        )
    if said.get("type") != KIND:
        raise AccountRefused(f"The file is no key of a service account: its type is another one. {MAKE_ONE}")
    return said


def _check_key(pem: str) -> None:
    if "ENCRYPTED" in pem:
        raise AccountRefused("The private key in the file has a password. Choose the file as Google gave it out.")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AccountRefused(f"The private key in the file cannot be read. {MAKE_ONE}") from None
    if not isinstance(key, RSAPrivateKey):
        raise AccountRefused(f"The private key in the file is no RSA key. {MAKE_ONE}")
