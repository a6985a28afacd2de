"""What a client meets on the wire, scripted: answers without sockets, and raw servers on 127.0.0.1."""

from __future__ import annotations

import io
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from connectors.oauth import Tokens

DATE = "Mon, 02 Mar 2026 09:00:00 GMT"
HTML = "<!doctype html><title>Hello</title><p>Another server."


@dataclass
class Said:
    """One scripted answer; a `body` that is no text is sent as JSON."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)


class Script(BaseAdapter):
    """Answers requests from a list, the last one for ever, and keeps the requests."""

    def __init__(self, *answers: Said | Exception | Callable[[requests.PreparedRequest], Said]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.requests: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.requests.append(request)
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(said):
            said = said(request)
        if isinstance(said, Exception):
            raise said
        body = (said.body if isinstance(said.body, str) else json.dumps(said.body)).encode()
        response = requests.Response()
        response.status_code, response.request, response.url = said.status, request, request.url or ""
        response.headers.update({"Date": DATE, **said.headers})
        response.raw = HTTPResponse(io.BytesIO(body), status=said.status, preload_content=False)
        return response

    def close(self) -> None:
        """Holds nothing."""

    def query(self, index: int = -1) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.requests[index].url or "").query)

    def form(self, index: int = -1) -> list[tuple[str, str]]:
        return parse_qsl(str(self.requests[index].body or ""), keep_blank_values=True)


class Store:
    """Tokens of one connection, in memory."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.is_begun = False

    def load(self) -> Tokens:
        return self.tokens

    def save(self, tokens: Tokens) -> None:
        self.tokens, self.is_begun = tokens, False

    def begin(self) -> bool:
        was, self.is_begun = self.is_begun, True
        return was

    def settle(self) -> None:
        self.is_begun = False

    def lock(self) -> AbstractContextManager[bool]:
        return nullcontext(True)


def answer(body: bytes | str, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Returns a whole HTTP answer."""
    data = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nDate: {DATE}\r\n{headers}\r\n".encode() + data


@contextmanager
def serving(handle: Callable[[socket.socket, bytes], None], *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serves on a free port of 127.0.0.1 and yields the port; `handle` gets each connection and its first request."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, handle, tls), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, handle: Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, handle, tls), daemon=True).start()


def _serve(plain: socket.socket, handle: Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None) -> None:
    try:
        with tls.wrap_socket(plain, server_side=True) if tls else plain as sock:
            while request := read_request(sock):
                handle(sock, request)
    except OSError:
        pass  # the client went away, or never trusted us


def read_request(sock: socket.socket) -> bytes:
    """Returns one request with its body, b"" when the client is done."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body
