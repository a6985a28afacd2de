"""Addresses of the played Exchange. All calls go to one; the operation in the body is told as the last part of the path, so that the
call log counts, and a fault strikes, one operation: `/EWS/Exchange.asmx/FindItem`."""

from __future__ import annotations

import re

EWS = "/EWS/Exchange.asmx"
OPERATIONS = (
    "GetFolder", "FindFolder", "CreateFolder", "UpdateFolder", "MoveFolder", "DeleteFolder", "EmptyFolder", "SyncFolderHierarchy",
    "SyncFolderItems", "FindItem", "GetItem", "CreateItem", "UpdateItem", "DeleteItem", "MoveItem", "CopyItem", "GetAttachment",
    "CreateAttachment", "DeleteAttachment", "Subscribe", "GetEvents", "Unsubscribe", "ResolveNames", "ConvertId", "GetServerTimeZones",
    "GetUserConfiguration",
)  # fmt: skip
UNKNOWN = "Unknown"
KNOWN = frozenset([EWS, *(f"{EWS}/{name}" for name in (*OPERATIONS, UNKNOWN))])
_BODY = re.compile(rb"<(?:[\w.-]+:)?Body\b[^>]*>\s*<(?:[\w.-]+:)?(\w+)")
_LOOKED_THROUGH = 65_536  # characters before the operation


def operation_of(body: bytes) -> str:
    """Returns the name of the operation in an envelope as far as one is seen without reading it whole."""
    match = _BODY.search(body[:_LOOKED_THROUGH])
    name = match[1].decode() if match else ""
    return name if name in OPERATIONS else UNKNOWN


def is_ews(path: str) -> bool:
    return path.lower() == EWS.lower()


def form_of(path: str) -> str:
    """Returns a path as the call log names it; one that is none of ours stays as it is."""
    return EWS if is_ews(path) else path
