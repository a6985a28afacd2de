"""Many calls of one API in one request: multipart/mixed, each part a whole HTTP call (reference section 8). Pure.

Google promises no order, and counts every part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.http import read_json

BOUNDARY = "part-of-batch"
CONTENT_TYPE = f"multipart/mixed; boundary={BOUNDARY}"
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^;\s]+))", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/[\d.]+ (\d{3})")
_NAME = re.compile(rb"^content-id:\s*<?response-p(\d+)>?\s*$", re.IGNORECASE | re.MULTILINE)
_WAIT = re.compile(rb"^retry-after:\s*([^\r\n]{1,60})", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its path behind the API's root, with its query. `template` is how it is counted."""

    method: str
    path: str
    template: str
    body: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to one call; status 0 where there is none that can be read. `wait` is what its Retry-After says."""

    status: int
    data: Any = field(default=None, repr=False)
    wait: str = ""


def written(calls: Sequence[Call], root: str) -> bytes:
    """Returns the body of a request that holds these calls."""
    parts = [_part(at, call, root) for at, call in enumerate(calls)]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def _part(at: int, call: Call, root: str) -> bytes:
    lines = [f"--{BOUNDARY}", "Content-Type: application/http", f"Content-ID: <p{at}>", "", f"{call.method} {root}{call.path} HTTP/1.1"]
    if call.body is None:
        return "\r\n".join([*lines, "", "", ""]).encode()
    content = json.dumps(call.body)
    return "\r\n".join([*lines, "Content-Type: application/json", f"Content-Length: {len(content)}", "", content, ""]).encode()


def read(content: bytes, content_type: str, count: int) -> list[Said]:
    """Returns the answers in the order of the calls. A part that is missing or cannot be read has status 0."""
    found = [Said(0)] * count
    said = _BOUNDARY.search(content_type)
    if said is None:
        return found
    mark = re.escape((said[1] or said[2]).encode())
    for piece in re.split(rb"(?:\A|\r?\n)--" + mark + rb"(?:--)?[ \t]*(?:\r?\n|\Z)", content):
        head, _, rest = _split(piece)
        name, status = _NAME.search(head), _STATUS.match(rest.lstrip())
        if name is None or status is None or int(name[1]) >= count:
            continue
        own, _, body = _split(rest.lstrip())
        wait = _WAIT.search(own)
        found[int(name[1])] = Said(int(status[1]), read_json(body), wait[1].decode("ascii", "replace").strip() if wait else "")
    return found


def _split(piece: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns what stands before the first blank line, the line, and what stands behind it."""
    match = _BLANK_LINE.search(piece)
    return (piece[: match.start()], match[0], piece[match.end() :]) if match else (piece, b"", b"")
