"""Ids and change keys: long, in base64 with its capital and small letters, and dead when the thing moves.

An id holds its numbers and a digest over them, so that looking one up needs no index, and a cut or otherwise cased id is
malformed, as in the real store.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from hashlib import shake_256

FOLDER, ITEM, ATTACHMENT = 1, 2, 3
_PREFIXES = {FOLDER: "AAMkAGF0", ITEM: "AAMkAGI1", ATTACHMENT: "AAMkAGJ2"}
_NUMBERS = struct.Struct(">BIIIQ")
_DIGEST_BYTES = 69  # makes ids as long as real ones, with a '=' at their end
_ENTRY_BYTES = 49
_KEY = struct.Struct(">QI")


@dataclass(frozen=True, slots=True)
class Id:
    """What an id says: its kind, the numbers of mailbox and thing, how often the thing had moved, and of an occurrence the day
    (its ordinal) of its place in the series, 0 for what is none."""

    kind: int
    mailbox: int
    number: int
    moves: int = 0
    day: int = 0


def make(key: str, id_: Id) -> str:
    raw = _NUMBERS.pack(id_.kind, id_.mailbox, id_.moves, id_.day, id_.number)
    return _PREFIXES[id_.kind] + base64.b64encode(raw + _digest(key, "id", raw, _DIGEST_BYTES)).decode()


def read(key: str, text: str) -> Id | None:
    """Returns what an id says, None for what is none."""
    try:
        data = base64.b64decode(text[8:], validate=True)
    except (binascii.Error, ValueError):
        return None
    raw = data[: _NUMBERS.size]
    if len(data) != _NUMBERS.size + _DIGEST_BYTES or data[_NUMBERS.size :] != _digest(key, "id", raw, _DIGEST_BYTES):
        return None
    kind, mailbox, moves, day, number = _NUMBERS.unpack(raw)
    return Id(kind, mailbox, number, moves, day) if _PREFIXES.get(kind) == text[:8] else None


def entry(key: str, id_: Id) -> bytes:
    """Returns the entry id of a thing, as MAPI calls it: shorter, and bytes."""
    raw = _NUMBERS.pack(id_.kind, id_.mailbox, id_.moves, id_.day, id_.number)
    return raw + _digest(key, "entry", raw, _ENTRY_BYTES)


def read_entry(key: str, data: bytes) -> Id | None:
    raw = data[: _NUMBERS.size]
    if len(data) != _NUMBERS.size + _ENTRY_BYTES or data[_NUMBERS.size :] != _digest(key, "entry", raw, _ENTRY_BYTES):
        return None
    kind, mailbox, moves, day, number = _NUMBERS.unpack(raw)
    return Id(kind, mailbox, number, moves, day)


def change_key(key: str, number: int, version: int) -> str:
    raw = _KEY.pack(number, version)
    return "EQAAABYAAAC" + base64.b64encode(raw + _digest(key, "version", raw, 12)).decode() + "A"


def read_version(key: str, number: int, text: str) -> int | None:
    """Returns the version of a thing that a change key says, None for one that is not its."""
    try:
        data = base64.b64decode(text[11:-1], validate=True)
    except (binascii.Error, ValueError):
        return None
    raw = data[: _KEY.size]
    if len(data) != _KEY.size + 12 or data[_KEY.size :] != _digest(key, "version", raw, 12):
        return None
    named, version = _KEY.unpack(raw)
    return version if named == number else None


def _digest(key: str, purpose: str, raw: bytes, length: int) -> bytes:
    return shake_256(f"{key} {purpose}".encode() + raw).digest(length)
