"""Ids of folders and items. An ordinary id names where an item lies and dies when it moves; an immutable one stays.

An id holds its numbers and a digest over them, so that looking one up needs no index, and a cut or otherwise cased id is
malformed, as in the real store.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from hashlib import shake_256

FOLDER, ITEM, IMMUTABLE = 1, 2, 3
CALENDAR, EVENT, IMMUTABLE_EVENT = 11, 12, 13  # of an occurrence, `moves` is the day of its place in the series
MAIL_FOLDER, MESSAGE, IMMUTABLE_MESSAGE, ATTACHMENT = 21, 22, 23, 24
TASK_LIST, TASK, IMMUTABLE_TASK = 31, 32, 33
_PREFIXES = {FOLDER: "AAMkAF", ITEM: "AAMkAD", IMMUTABLE: "AAkALg", CALENDAR: "AAMkAC", EVENT: "AAMkAG", IMMUTABLE_EVENT: "AAkALh"}
_PREFIXES |= {MAIL_FOLDER: "AAMkAE", MESSAGE: "AAMkAH", IMMUTABLE_MESSAGE: "AAkALi", ATTACHMENT: "AAMkAK"}
_PREFIXES |= {TASK_LIST: "AAMkAI", TASK: "AAMkAJ", IMMUTABLE_TASK: "AAkALj"}
_KINDS = {prefix: kind for kind, prefix in _PREFIXES.items()}
_NUMBERS = struct.Struct(">BIIQ")
_DIGEST_BYTES = 72  # makes ids as long as real ones, with a '=' at their end


@dataclass(frozen=True, slots=True)
class Id:
    """What an id says: its kind, the numbers of mailbox and thing, and how often the thing had moved."""

    kind: int
    mailbox: int
    number: int
    moves: int


def make(key: str, kind: int, *, mailbox: int, number: int, moves: int = 0) -> str:
    raw = _NUMBERS.pack(kind, mailbox, moves, number)
    return _PREFIXES[kind] + base64.urlsafe_b64encode(raw + _digest(key, raw)).decode()


def read(key: str, text: str) -> Id | None:
    """Returns what an id says, None for what is none."""
    kind = _KINDS.get(text[:6])
    try:
        data = base64.urlsafe_b64decode(text[6:])
    except (binascii.Error, ValueError):
        return None
    raw = data[: _NUMBERS.size]
    if kind is None or len(data) != _NUMBERS.size + _DIGEST_BYTES or data[_NUMBERS.size :] != _digest(key, raw):
        return None
    own_kind, mailbox, moves, number = _NUMBERS.unpack(raw)
    return Id(kind, mailbox, number, moves) if own_kind == kind else None


def change_key(key: str, number: int, version: int) -> str:
    raw = struct.pack(">QI", number, version)
    return "EQAAABYAAA" + base64.urlsafe_b64encode(raw + shake_256(f"{key} version".encode() + raw).digest(9)).decode()


def guid(*words: object) -> str:
    """Returns the GUID that these words always make."""
    text = shake_256(" ".join(map(str, words)).encode()).hexdigest(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _digest(key: str, raw: bytes) -> bytes:
    return shake_256(f"{key} id".encode() + raw).digest(_DIGEST_BYTES)
