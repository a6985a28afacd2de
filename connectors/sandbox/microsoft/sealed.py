"""Tokens that hold what they stand for, sealed: what anybody else wrote, or changed, is none of ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from hashlib import shake_256
from typing import Any

from connectors.sandbox.wire import read_json

LENGTH = 12  # of a seal


def sealed(key: object, purpose: str, values: Iterable[Any]) -> str:
    """Returns the token of these values, for one purpose; JSON must be able to hold them."""
    raw = json.dumps(list(values), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_seal(key, purpose, raw) + raw).rstrip(b"=").decode()


def unsealed(key: object, purpose: str, token: str) -> list[Any] | None:
    """Returns the values of a token, None for what is none of ours."""
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if data[:LENGTH] != _seal(key, purpose, data[LENGTH:]):
            return None
        return list(read_json(data[LENGTH:]))
    except ValueError:
        return None


def _seal(key: object, purpose: str, raw: bytes) -> bytes:
    return shake_256(f"{key} {purpose}".encode() + raw).digest(LENGTH)
