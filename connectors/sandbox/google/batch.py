"""The batch endpoints: whole calls in the parts of a multipart body, answered each by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from connectors.sandbox.google.refusal import Refused
from connectors.sandbox.wire import Request, Response

KNOWN = frozenset(("/batch", "/batch/calendar/v3", "/batch/gmail/v1"))
MOST_PARTS, MOST_OF_GMAIL = 1000, 100
BOUNDARY = "batch_answer"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BOUNDARY = re.compile(r"boundary=(?:\"([^\"]+)\"|([^;\s]+))")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")  # clients end lines either way


def is_batch(request: Request) -> bool:
    return request.method == "POST" and request.path in KNOWN


def answer(request: Request, inner: Callable[[Request], Response]) -> Response:
    """Answers a batch. `inner` answers one of its calls. Raises Refused for a body that is none: nothing is carried out then."""
    parts = list(_parts(request))
    most = MOST_OF_GMAIL if request.path.endswith("/gmail/v1") else MOST_PARTS
    if not 1 <= len(parts) <= most:
        raise _bad(f"The batch request must hold between 1 and {most} calls.")
    body, noted = b"", []
    for content_id, call in parts:
        response = inner(call)
        noted.append({"method": call.method, "path": call.path, "query": call.query, "status": response.status})
        body += f"--{BOUNDARY}\r\nContent-Type: application/http\r\n".encode() + _named(content_id) + b"\r\n" + _shown(response) + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return Response(200, body, f"multipart/mixed; boundary={BOUNDARY}", template=request.path, noted=noted)


def _parts(request: Request) -> Iterator[tuple[str, Request]]:
    """Yields the Content-ID and the call of each part. The outer headers hold for all, where a part has none of its own."""
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    if found is None:
        raise _bad("Failed to parse batch request, error: the Content-Type has no boundary.")
    mark = re.escape((found[1] or found[2]).encode())
    pieces = re.split(rb"(?:\A|\r?\n)--" + mark + rb"(--)?[ \t]*(?:\r?\n|\Z)", request.body)
    for piece in pieces[2::2]:
        if piece.strip():
            yield _part(request, piece)


def _part(request: Request, piece: bytes) -> tuple[str, Request]:
    head, inner = _split(piece)
    first, rest = (inner.lstrip().split(b"\n", 1) + [b""])[:2]
    words = first.decode("utf-8", "replace").split()
    if len(words) not in (2, 3) or words[0] not in METHODS or not words[1].startswith("/"):
        raise _bad("Failed to parse batch request, error: a part is no call.")
    lines, body = _split(b"\n" + rest)
    path, _, query = words[1].partition("?")
    outer = {name: value for name, value in request.headers.items() if name == "authorization"}
    call = Request(words[0], path, query, {**outer, **_headers(lines)}, body.strip(), request.base_url)
    return _headers(head).get("content-id", ""), call


def _split(piece: bytes) -> tuple[bytes, bytes]:
    """Returns the headers and what stands behind the first blank line."""
    parts = _BLANK_LINE.split(piece, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else b""


def _headers(lines: bytes) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in lines.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _named(content_id: str) -> bytes:
    inside = content_id.removeprefix("<").removesuffix(">")
    return f"Content-ID: <response-{inside}>\r\n".encode() if inside else b""


def _shown(response: Response) -> bytes:
    phrase = HTTPStatus(response.status).phrase
    lines = [f"HTTP/1.1 {response.status} {phrase}", f"Content-Type: {response.content_type}", f"Content-Length: {len(response.body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + response.body


def _bad(message: str) -> Refused:
    return Refused(400, message, old_reason="badRequest")
