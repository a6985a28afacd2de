"""Mounts a world in process, as the transport adapter of a `requests` session: histories in thousands need no sockets."""

from __future__ import annotations

import io
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

from connectors.sandbox.wire import Request
from connectors.sandbox.world import PORTS, Outcome, World

FIRST_PORT = 8900


def base_url(system: str) -> str:
    """Returns the address under which a system answers in process."""
    return f"http://127.0.0.1:{FIRST_PORT + PORTS[system]}"


class SandboxAdapter(BaseAdapter):
    """Carries prepared requests to a world and its answers back. Delays are not waited for."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._systems = {str(FIRST_PORT + offset): name for name, offset in PORTS.items()}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        if not isinstance(body, str | bytes | bytearray):  # sent in chunks
            body = b"".join(body)
        wire = Request(
            method=request.method or "GET",
            path=parts.path,
            query=parts.query,
            headers={k.lower(): str(v) for k, v in request.headers.items()},
            body=body.encode() if isinstance(body, str) else bytes(body),
            base_url=f"{parts.scheme}://{parts.netloc}",
        )
        outcome = self._world.handle(self._systems[str(parts.port)], wire)
        if outcome.done is not None:
            outcome.done()
        if outcome.pause is not None:
            self._world.release()
            raise requests.exceptions.ReadTimeout("the answer did not come", request=request)
        if outcome.is_lost:
            raise requests.exceptions.ConnectionError("Connection aborted: remote end closed connection", request=request)
        return _response(request, outcome)

    def close(self) -> None:
        """Holds nothing."""


def _response(request: requests.PreparedRequest, outcome: Outcome) -> requests.Response:
    body = outcome.response.body[: len(outcome.response.body) // 2] if outcome.is_truncated else outcome.response.body
    headers = {"Content-Type": outcome.response.content_type, "Date": format_datetime(outcome.date.replace(microsecond=0), usegmt=True)}
    headers.update(outcome.response.headers)
    response = requests.Response()
    response.status_code = outcome.response.status
    response.headers = CaseInsensitiveDict(headers)
    response.raw = HTTPResponse(io.BytesIO(body), headers=headers, status=outcome.response.status, preload_content=False)
    response.url = request.url or ""
    response.request = request
    response.encoding = "utf-8"
    return response
