"""HTTP/1.1 on loopback, a port for each system and one for control: keep-alive, chunked bodies, faults on the wire."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http.client import responses
from typing import Any

from connectors.sandbox.wire import Request, Response, read_id
from connectors.sandbox.world import PAUSE_LIMIT, PORTS, Outcome, World

HOST = "127.0.0.1"
MAX_HEADER_LINES = 200
MAX_BODY = 64 * 1024 * 1024
DRIP_SECONDS = 0.05
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_NO_BODY = (*range(100, 200), 204, 304)


class PortTaken(OSError):
    """The port belongs to somebody else."""


class _BadRequest(Exception):
    """The request cannot be read; its sentence is the answer, and the connection ends."""


class _Handler(socketserver.StreamRequestHandler):
    """One connection: requests one after the other until either side closes."""

    disable_nagle_algorithm = True
    rbufsize = 65536
    server: _Server

    def handle(self) -> None:
        try:
            while self._one():
                pass
        except _BadRequest as error:
            self._refuse(str(error))
        except OSError:
            return

    def _refuse(self, sentence: str) -> None:
        """Answers 400 to what cannot be read; where the next request begins is not known, so the connection ends."""
        body = f"{sentence}\n".encode()
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        try:
            self.wfile.write(head.encode() + body)
            self.request.shutdown(socket.SHUT_WR)
            self.request.settimeout(1)
            for _ in range(1000):  # what is still under way would turn the close into a reset, and the answer would be lost
                if not self.request.recv(65536):
                    break
        except OSError:
            return

    def _one(self) -> bool:
        """Answers one request. Returns whether the connection stays open."""
        line = self.rfile.readline(65537)
        if not line.strip():
            return False
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise _BadRequest("the request line cannot be read")
        method, target, _ = parts
        headers = self._headers()
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(headers)
        path, _, query = target.partition("?")
        host = headers.get("host", f"{HOST}:{self.server.server_address[1]}")
        request = Request(method, path, query, headers, body, f"http://{host}")
        with self.server.running(request):
            is_open = self._send(self.server.answer(request), has_body=method != "HEAD")
        return is_open and headers.get("connection", "").lower() != "close"

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADER_LINES):
            line = self.rfile.readline(65537)
            if line in (b"\r\n", b"\n", b""):
                return headers
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raise _BadRequest("there are too many header lines")

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = read_id(headers.get("content-length", "0"))
        if length is None or length > MAX_BODY:
            raise _BadRequest("Content-Length is no number, or too large")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise _BadRequest("the body is shorter than it says")
        return body

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            word = self.rfile.readline(1000).split(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(word):
                raise _BadRequest("a chunk has no size")
            size = int(word, 16)
            total += size
            if total > MAX_BODY:
                raise _BadRequest("the body is too large")
            if size == 0:
                self._headers()  # trailers
                return b"".join(parts)
            parts.append(self._exactly(size))
            self.rfile.readline(10)

    def _send(self, outcome: Outcome, *, has_body: bool) -> bool:
        if outcome.delay:
            time.sleep(outcome.delay)
        if outcome.pause is not None:
            outcome.pause.wait(PAUSE_LIMIT)
        if outcome.done is not None:
            outcome.done()
        if outcome.is_lost:
            self.request.shutdown(socket.SHUT_RDWR)
            return False
        response = outcome.response
        body = response.body[: len(response.body) // 2] if outcome.is_truncated else response.body
        if response.status in _NO_BODY:
            body = b""
        head = [
            f"HTTP/1.1 {response.status} {responses.get(response.status, 'Unknown')}",
            f"Date: {format_datetime(outcome.date.replace(microsecond=0), usegmt=True)}",
            "Server: sandbox",
            *(f"{name}: {' '.join(value.splitlines())}" for name, value in response.headers),
        ]
        if response.status not in _NO_BODY:
            head += [f"Content-Type: {response.content_type}", f"Content-Length: {len(body)}"]
        data = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1", "replace") + (body if has_body else b"")
        if outcome.is_slow:
            for start in range(0, len(data), 256):
                self.wfile.write(data[start : start + 256])
                time.sleep(DRIP_SECONDS)
        else:
            self.wfile.write(data)
        return True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, port: int, answer: Callable[[Request], Outcome], running: Callable[[Request], AbstractContextManager[None]] | None = None
    ) -> None:
        self.answer = answer
        self.running = running or (lambda request: nullcontext())
        if not 0 <= port <= 65535:
            raise ValueError(f"there is no port {port}")
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise PortTaken(port) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tells of a defect of the sandbox; a client that went away is no news and does not come here."""
        traceback.print_exc()


class SandboxServer:
    """All ports of one world. `port` 0 takes free ones; a stop takes `poll_seconds` at most. Raises PortTaken."""

    def __init__(self, world: World, port: int = 8900, *, poll_seconds: float = 0.1) -> None:
        from connectors.sandbox.control import Control

        self.world = world
        self._poll_seconds = poll_seconds
        control = Control(world)
        self._servers: dict[str, _Server] = {}
        try:
            self._servers["control"] = _Server(port, lambda request: _plain(control.handle(request)))
            for name, offset in PORTS.items():
                answer, running = partial(world.handle, name), partial(world.running, name)
                self._servers[name] = _Server(port + offset if port else 0, answer, running)
        except (PortTaken, ValueError):
            self._close()
            raise
        self.urls = {name: f"http://{HOST}:{server.server_address[1]}" for name, server in self._servers.items()}
        world.control_url = self.urls["control"]
        world.base_urls = {name: self.urls[name] for name in PORTS}
        self._threads: list[threading.Thread] = []

    def start(self) -> SandboxServer:
        """Serves in threads of their own and returns."""
        for server in self._servers.values():
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": self._poll_seconds}, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Stops serving and frees the ports."""
        self.world.release()
        if self._threads:
            closing = [threading.Thread(target=server.shutdown) for server in self._servers.values()]
            for thread in closing:  # each waits for its server's next look at the clock: all at once
                thread.start()
            for thread in closing:
                thread.join()
        self._close()

    def _close(self) -> None:
        for server in self._servers.values():
            server.server_close()


def _plain(response: Response) -> Outcome:
    return Outcome(response, datetime.now(UTC))
