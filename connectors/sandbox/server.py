"""HTTP/1.1 on loopback, a port for each system and one for control: keep-alive, chunked bodies, faults on the wire."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import responses
from typing import Any

from connectors.sandbox.wire import Request, Response
from connectors.sandbox.world import PAUSE_LIMIT, PORTS, Outcome, World

HOST = "127.0.0.1"
MAX_HEADER_LINES = 200
MAX_BODY = 64 * 1024 * 1024
DRIP_SECONDS = 0.05


class PortTaken(OSError):
    """The port belongs to somebody else."""


class _BadRequest(Exception):
    """The request cannot be read."""


class _Handler(socketserver.StreamRequestHandler):
    """One connection: requests one after the other until either side closes."""

    disable_nagle_algorithm = True
    rbufsize = 65536
    server: _Server

    def handle(self) -> None:
        try:
            while self._one():
                pass
        except (OSError, _BadRequest):
            return

    def _one(self) -> bool:
        """Answers one request. Returns whether the connection stays open."""
        line = self.rfile.readline(65537)
        if not line.strip():
            return False
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise _BadRequest
        method, target, _ = parts
        headers = self._headers()
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(headers)
        path, _, query = target.partition("?")
        host = headers.get("host", f"{HOST}:{self.server.server_address[1]}")
        outcome = self.server.answer(Request(method, path, query, headers, body, f"http://{host}"))
        return self._send(outcome) and headers.get("connection", "").lower() != "close"

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADER_LINES):
            line = self.rfile.readline(65537)
            if line in (b"\r\n", b"\n", b""):
                return headers
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raise _BadRequest

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            raise _BadRequest
        body = self.rfile.read(int(length)) if length != "0" else b""
        if len(body) < int(length):
            raise _BadRequest
        return body

    def _chunks(self) -> bytes:
        parts, total = [], 0
        while True:
            try:
                size = int(self.rfile.readline(1000).split(b";")[0], 16)
            except ValueError:
                raise _BadRequest from None
            total += size
            if total > MAX_BODY:
                raise _BadRequest
            parts.append(self.rfile.read(size))
            self.rfile.readline(10)
            if size == 0:
                return b"".join(parts)

    def _send(self, outcome: Outcome) -> bool:
        if outcome.delay:
            time.sleep(outcome.delay)
        if outcome.pause is not None:
            outcome.pause.wait(PAUSE_LIMIT)
        if outcome.is_lost:
            self.request.shutdown(socket.SHUT_RDWR)
            return False
        response = outcome.response
        body = response.body[: len(response.body) // 2] if outcome.is_truncated else response.body
        head = [
            f"HTTP/1.1 {response.status} {responses.get(response.status, 'Unknown')}",
            f"Date: {format_datetime(outcome.date.replace(microsecond=0), usegmt=True)}",
            "Server: sandbox",
            *(f"{name}: {value}" for name, value in response.headers),
        ]
        if response.status != 204:
            head += [f"Content-Type: {response.content_type}", f"Content-Length: {len(body)}"]
        data = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1", "replace") + body
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

    def __init__(self, port: int, answer: Callable[[Request], Outcome]) -> None:
        self.answer = answer
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise PortTaken(port) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class SandboxServer:
    """All ports of one world. `port` 0 takes free ones. Raises PortTaken."""

    def __init__(self, world: World, port: int = 8900) -> None:
        from connectors.sandbox.control import Control

        self.world = world
        control = Control(world)
        self._servers: dict[str, _Server] = {}
        try:
            self._servers["control"] = _Server(port, lambda request: _plain(control.handle(request)))
            for name, offset in PORTS.items():
                self._servers[name] = _Server(port + offset if port else 0, lambda request, name=name: world.handle(name, request))  # type: ignore[misc]
        except PortTaken:
            self._close()
            raise
        self.urls = {name: f"http://{HOST}:{server.server_address[1]}" for name, server in self._servers.items()}
        world.control_url = self.urls["control"]
        world.base_urls = {name: self.urls[name] for name in PORTS}
        self._threads: list[threading.Thread] = []

    def start(self) -> SandboxServer:
        """Serves in threads of their own and returns."""
        for server in self._servers.values():
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Stops serving and frees the ports."""
        self.world.release()
        for server in self._servers.values():
            if self._threads:
                server.shutdown()
        self._close()

    def _close(self) -> None:
        for server in self._servers.values():
            server.server_close()


def _plain(response: Response) -> Outcome:
    return Outcome(response, datetime.now(UTC))
