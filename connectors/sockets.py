"""The sockets of `HttpClient`: they lead to permitted addresses only, and no call on them outlives its deadline.

urllib3 knows a time-out per step (one connect, one read); a server that drips a byte now and then stays within it for
ever. Here the time left is set before every step instead. A name is resolved once, its addresses are checked, and one of
those is connected to: a second resolution could give another answer. All of this costs a kept-alive call nothing.
"""

from __future__ import annotations

import io
import ipaddress
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

PIECE = 16 * 1024  # bytes sent at once; TLS waits anew for each such record
_CARRIES_IPV4 = (0, 0xFFFF, 0x64FF9B << 64)  # the upper 96 bits of ::a.b.c.d, ::ffff:a.b.c.d and NAT64's 64:ff9b::a.b.c.d
_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(Exception):
    """The name of the host leads where the connection must not go; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a connection may lead besides the public internet."""

    loopback: bool = False
    private: bool = False

    def permits(self, address: _IP) -> bool:
        """Tells whether a socket may connect to this address. Link-local ones never: no CRM lives there, but the
        credentials of cloud machines do."""
        inner = _without_tunnel(address)
        if inner.is_loopback or inner.is_unspecified:
            return self.loopback
        if inner.is_link_local or inner.is_multicast:
            return False
        return inner.is_global or self.private


def _without_tunnel(address: _IP) -> _IP:
    """Returns the IPv4 address that an IPv6 one stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    if int(address) >> 32 in _CARRIES_IPV4:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else address)


class _Call(threading.local):
    """The call that this thread is making. `has_left` tells whether a byte of it went out; None where the sockets are
    not ours to ask (an adapter in process)."""

    ends_at: float = -math.inf
    reach: Reach = Reach()
    has_left: bool | None = None

    def begin(self, seconds: float, reach: Reach, *, has_left: bool | None) -> None:
        self.ends_at, self.reach, self.has_left = time.monotonic() + seconds, reach, has_left

    def left(self) -> float:
        """Returns the seconds that are left. Raises TimeoutError when there are none."""
        seconds = self.ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the call's time is over")
        return seconds

    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at


call = _Call()


class GuardedAdapter(HTTPAdapter):
    """An adapter whose sockets obey `call`, and that speaks no TLS older than the version asked for (D36). `own_authorities` are
    certificates (PEM) that are trusted besides the public ones."""

    def __init__(self, least_tls: ssl.TLSVersion, own_authorities: str = "", **options: Any) -> None:
        self._least_tls, self._own_authorities = least_tls, own_authorities
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        context = _own_context(self._least_tls, self._own_authorities) if self._own_authorities else _tls_context(self._least_tls)
        super().init_poolmanager(*args, ssl_context=context, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


@cache
def _tls_context(least: ssl.TLSVersion) -> ssl.SSLContext:
    """Returns one context per version for all sessions: reading the certificates costs 20 ms."""
    context = ssl.create_default_context()
    context.minimum_version = least
    return context


@cache
def _own_context(least: ssl.TLSVersion, own_authorities: str) -> ssl.SSLContext:
    """Returns the same for sessions that trust these authorities, too. Raises SSLError for what are no certificates."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=own_authorities)
    context.minimum_version = least
    return context


class _TimedReader(io.RawIOBase):
    """Reads from a socket, never longer than the call has left: headers and body, dripped or not."""

    def __init__(self, inner: Any, sock: socket.socket) -> None:
        self._inner, self._sock = inner, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(call.left())
        count: int | None = self._inner.readinto(buffer)
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


class _HttpConnection(HTTPConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self)

    def send(self, data: Any) -> None:
        _send(self, data, super().send)


class _HttpsConnection(HTTPSConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self)

    def send(self, data: Any) -> None:
        _send(self, data, super().send)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _connect(connection: HTTPConnection) -> socket.socket:
    """Returns a socket connected to the first permitted address that answers. Raises AddressRefused, or urllib3's own
    errors, after which nothing was sent."""
    found = _resolve(connection)
    permitted = [entry for entry in found if call.reach.permits(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]))]
    if not permitted:
        raise AddressRefused(f"{connection.host[:60]} leads to the private address {found[0][4][0]}, which is refused")
    failure: OSError | None = None
    for index, (family, kind, protocol, _, address) in enumerate(permitted):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(call.left() / (len(permitted) - index))  # a silent first address leaves time for the next
            sock.connect(address)
            sock.settimeout(call.left())
            return sock
        except OSError as error:
            sock.close()
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"Connection to {connection.host} timed out.") from failure
    raise NewConnectionError(connection, f"Failed to establish a new connection: {failure}") from failure


def _resolve(connection: HTTPConnection) -> list[Any]:
    """Returns the addresses of the host. The resolver knows no time-out; what it costs counts towards the call's."""
    try:
        found = socket.getaddrinfo(connection.host.strip("[]"), connection.port, allowed_gai_family(), socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(connection.host, connection, reason) from error
    if not found:
        raise NewConnectionError(connection, "The name has no address")
    return list(found)


def _send(connection: HTTPConnection, data: Any, send: Callable[[Any], None]) -> None:
    """Sends the data in pieces, each within what the call has left; from the first on the call may have happened."""
    if connection.sock is None:
        connection.connect()
    whole = memoryview(data) if isinstance(data, bytes) else None
    pieces = [data] if whole is None else [whole[start : start + PIECE] for start in range(0, len(whole), PIECE)]
    for piece in pieces:
        connection.sock.settimeout(call.left())
        call.has_left = True
        send(piece)
