"""HTTP to the outside world: deadlines, pacing, Retry-After, quota, redaction, and errors by class.

Reads are repeated by themselves, at most twice; writes never. What a failure says about a write: refused connections,
4xx and Retry-After answers mean "not done"; time-outs, resets, bare 5xx and unreadable answers mean "in doubt".
"""

from __future__ import annotations

import ipaddress
import json
import math
import random
import re
import ssl
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.hooks import dispatch_hook
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from connectors.contract import CallCount, Exchange
from connectors.errors import (
    BAD_CERTIFICATE,
    TOO_MUCH,
    ConnectionTrouble,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    ServerTrouble,
    Unreachable,
)
from connectors.redaction import Redactor
from connectors.sockets import AddressRefused, GuardedAdapter, Reach, call

MAX_BYTES = 64 * 1024 * 1024
MAX_REDIRECTS = 10
REPEATS = 2
LONGEST_PAUSE = 2.0  # seconds we wait ourselves; a longer wait is the engine's
EPOCH_FROM = 1_000_000_000
EPOCH_MILLISECONDS_FROM = 100_000_000_000
LONGEST_STATED_WAIT = 366 * 86400.0  # a header that asks for more is damaged
_REDIRECTS = (301, 302, 303, 307, 308)
_NOT_IN_BASE = re.compile(r"[\s\\\x00-\x1f\x7f?#]")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `data` is the parsed JSON, None when the body is not JSON. `server_time` is its Date header.

    `was_redirected`: a redirect made a GET of our request, and this answers that; of a write it proves nothing. Texts of
    `data` that go into an error pass through `redact`. `content` is the body of an answer to a `Document`."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: Any = field(repr=False)
    server_time: datetime | None
    exchange: Exchange
    redact: Redactor = field(repr=False)
    was_redirected: bool = False
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A body that is no JSON, as SOAP is. `auth` signs requests that one header does not sign (NTLM). `told`: statuses from 500
    up whose answers say themselves what they mean, and raise nothing here."""

    content: bytes = field(repr=False)
    auth: AuthBase | None = field(default=None, repr=False)
    told: Sequence[int] = ()


def parse_wait(value: str, *, now: float) -> float | None:
    """Returns the seconds that a Retry-After or reset header asks for: seconds, epoch (milliseconds, too), HTTP date or
    ISO instant; None for anything else. `now` is the clock of whoever sent the header."""
    try:
        wait = _stated_wait(value.strip(), now)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait) if wait < LONGEST_STATED_WAIT else None


def _stated_wait(text: str, now: float) -> float:
    try:
        number = float(text)
    except ValueError:
        is_iso = "T" in text and "," not in text
        at = datetime.fromisoformat(text.replace("Z", "+00:00")) if is_iso else parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    if not math.isfinite(number):
        raise ValueError("no number of seconds")
    epoch = number / 1000 if number > EPOCH_MILLISECONDS_FROM else number
    return epoch - now if epoch > EPOCH_FROM else epoch


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_json(content: bytes) -> Any:
    """Returns what a body says, None when it is not JSON."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class _Home:
    """Where a client sends its requests: nowhere else."""

    address: str
    origin: tuple[str, str, int] | None


def _home(base_url: str, system: str, reach: Reach) -> _Home:
    address = base_url.rstrip("/")
    refuse_address(address, system, reach)
    return _Home(address, _origin(address))


class HttpClient:
    """HTTP to one system. Thread-safe. `before_send(seconds)` may raise to refuse a call that would outlive a lease.
    `own_authorities`: certificates (PEM) of authorities that are trusted besides the public ones."""

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        timeout: float = 30.0,
        concurrency: int = 4,
        secrets: Sequence[str] = (),
        allow_loopback: bool = False,
        allow_private: bool = False,
        least_tls: str = "1.3",
        own_authorities: str = "",
        adapter: requests.adapters.BaseAdapter | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        before_send: Callable[[float], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.system = system
        self.timeout = timeout
        self.redact = Redactor(secrets)
        self.counts = CallCount()
        self._clock, self._sleep, self._before_send, self._jitter = clock, sleep, before_send, jitter
        self._lock = threading.Lock()
        self._wait_until = 0.0
        self._reach = Reach(loopback=allow_loopback, private=allow_private)
        self._home = _home(base_url, system, self._reach)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "syncsite/1.0"
        self._owns_sockets = adapter is None
        least = ssl.TLSVersion.TLSv1_2 if least_tls == "1.2" else ssl.TLSVersion.TLSv1_3
        try:
            self._adapter = adapter or GuardedAdapter(least, own_authorities, pool_connections=2, pool_maxsize=max(2, concurrency))
        except (ssl.SSLError, ValueError):
            raise NeedsAttention("has certificates of authorities that cannot be read", system=system) from None

    @property
    def base_url(self) -> str:
        """Where the system is reached, without a slash at its end."""
        return self._home.address

    def move_to(self, base_url: str) -> None:
        """Sends later requests to another address of the system. Raises NeedsAttention for one that must not be."""
        self._home = _home(base_url, self.system, self._reach)

    def hold(self, seconds: float) -> None:
        """Lets no request out for so long: the system has asked for it in words of its own."""
        with self._lock:
            self._wait_until = max(self._wait_until, self._clock() + seconds)

    def back_off(self, attempt: int, *, first_seconds: float) -> None:
        """Waits before the next try of what passes by itself: longer each time, and not in step with others."""
        self._sleep(first_seconds * 2**attempt * (0.5 + self._jitter()))

    def close(self) -> None:
        self._session.close()
        self._adapter.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        template: str,
        is_read: bool,
        params: Sequence[tuple[str, str]] = (),
        form: Sequence[tuple[str, str]] | None = None,
        json_body: Any = None,
        document: Document | None = None,
        headers: Mapping[str, str] | None = None,
        unrepeated: Sequence[int] = (),
    ) -> Answer:
        """Returns the answer to one request, whatever its status below 500 (429 aside). Raises ConnectionTrouble in
        its kinds. Reads are repeated after a passing failure, unless its status is one of `unrepeated`; writes never."""
        tries = 1 + (REPEATS if is_read else 0)
        for attempt in range(tries):
            try:
                return self._once(method, path, template, is_read, params, form, json_body, document, headers or {})
            except (ServerTrouble, OutcomeUnknown, Unreachable) as error:
                if attempt + 1 == tries or error.status in unrepeated or error.code == TOO_MUCH or self._is_short_of_calls():
                    raise
                self._sleep((0.05 + 0.15 * self._jitter()) * 2**attempt)
        raise AssertionError("unreachable")

    def _is_short_of_calls(self) -> bool:
        """Tells whether three quarters of the allowance are gone: repeats stop there (C28)."""
        limit, remaining = self.counts.limit, self.counts.remaining
        return limit is not None and remaining is not None and remaining < limit * 0.25

    def _pace(self) -> None:
        wait = self._wait_until - self._clock()
        if wait <= 0:
            return
        if wait > LONGEST_PAUSE:
            raise RateLimited(f"asked us to wait another {wait:.0f} s", system=self.system, status=429, retry_after=wait)
        self._sleep(wait)

    def _once(
        self,
        method: str,
        path: str,
        template: str,
        is_read: bool,
        params: Sequence[tuple[str, str]],
        form: Sequence[tuple[str, str]] | None,
        json_body: Any,
        document: Document | None,
        headers: Mapping[str, str],
    ) -> Answer:
        body = self._encoded(json_body) if document is None else document.content
        prepared = self._prepared(method, path, params, form, body, headers, document.auth if document is not None else None)
        self._pace()
        started = time.monotonic()
        call.begin(self.timeout, self._reach, has_left=False if self._owns_sockets else None)
        response, content, was_redirected = self._send(prepared, f"{method} {template}", is_read)
        exchange = Exchange(
            method,
            self.redact(prepared.url or "", limit=1000),
            self.redact(_text(prepared.body)),
            response.status_code,
            self.redact(_text(content)),
            round((time.monotonic() - started) * 1000),
        )
        server_time = _date(response.headers.get("Date"))
        self._note_allowance(response.headers, server_time)
        if document is None or response.status_code not in document.told:
            self._raise_for_trouble(response, server_time, exchange, is_read=is_read, is_definite=is_read or not was_redirected)
        data, kept = (read_json(content), b"") if document is None else (None, content)
        return Answer(response.status_code, response.headers, data, server_time, exchange, self.redact, was_redirected, kept)

    def _prepared(
        self,
        method: str,
        path: str,
        params: Sequence[tuple[str, str]],
        form: Sequence[tuple[str, str]] | None,
        body: bytes | None,
        headers: Mapping[str, str],
        auth: AuthBase | None = None,
    ) -> requests.PreparedRequest:
        """Returns the request to an address of this system. Raises NeedsAttention for one that leads elsewhere or
        cannot be sent."""
        home = self._home  # once: it may move meanwhile
        url = path if path.startswith("http") else home.address + path
        if _origin(url) != home.origin:
            raise NeedsAttention(f"a link to another host ({_host_of(url)}) was refused", system=self.system)
        data = body if body is not None else (list(form or ()) or None)
        request = requests.Request(method, url, params=list(params) or None, data=data, headers=dict(headers), auth=auth)
        try:
            prepared = self._session.prepare_request(request)
            "".join(map(_text, prepared.headers.values())).encode("latin-1")  # as the wire will have it
            return prepared
        except (requests.exceptions.RequestException, UnicodeError):  # its text would show the token
            raise NeedsAttention("a token, a key or the address holds characters that cannot be sent", system=self.system) from None

    def _encoded(self, json_body: Any) -> bytes | None:
        """Returns the body. Raises Rejected, before anything is sent, for a value that JSON cannot hold."""
        try:
            return None if json_body is None else json.dumps(json_body, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise Rejected(f"cannot be told one of the values ({error})", system=self.system) from error

    def _send(self, prepared: requests.PreparedRequest, key: str, is_read: bool) -> tuple[requests.Response, bytes, bool]:
        """Returns the answer, its body, and whether a redirect made a GET of the request. All hops share one deadline;
        each is guarded and counted for itself."""
        was_redirected = False
        for _ in range(MAX_REDIRECTS):
            if self._before_send is not None:
                self._before_send(self._time_left(is_read))
            with self._lock:
                self.counts.calls += 1
                self.counts.by_template[key] = self.counts.by_template.get(key, 0) + 1
            response, content = self._send_one(prepared, is_read)
            if response.status_code not in _REDIRECTS:
                return response, content, was_redirected
            following = self._redirected(prepared, response, is_read)
            was_redirected = was_redirected or following.method != prepared.method
            prepared = following
        raise self._in_doubt("redirected us in a circle", is_read, status=response.status_code)

    def _redirected(self, prepared: requests.PreparedRequest, response: requests.Response, is_read: bool) -> requests.PreparedRequest:
        """Returns the request that a redirect asks for, with the headers of the first. Raises OutcomeUnknown when it
        leads to another host."""
        target = _joined(prepared.url or "", response.headers.get("Location", ""))
        if _origin(target) != _origin(prepared.url or ""):
            raise self._in_doubt("redirected us to another host; not followed", is_read, status=response.status_code)
        method, body, dropped = prepared.method, prepared.body, {"content-length", "cookie"}
        if response.status_code in (301, 302, 303) and method != "GET":  # as the vendor's own library does: POST becomes GET
            method, body, dropped = "GET", None, dropped | {"content-type", "transfer-encoding"}
        headers = {name: value for name, value in prepared.headers.items() if name.lower() not in dropped}
        try:
            return self._session.prepare_request(requests.Request(method, target, headers=headers, data=body))
        except (requests.exceptions.RequestException, UnicodeError):
            raise self._in_doubt("redirected us to no address", is_read, status=response.status_code) from None

    def _send_one(self, prepared: requests.PreparedRequest, is_read: bool) -> tuple[requests.Response, bytes]:
        try:
            # The session's own `send` would read the whole body of a redirect, whatever its size.
            options: dict[str, Any] = {"stream": True, "timeout": self._time_left(is_read), "verify": True, "proxies": {}}
            response = self._adapter.send(prepared, **options)
            response = dispatch_hook("response", prepared.hooks, response, **options)  # type: ignore[no-untyped-call]  # signs in, by NTLM
            with self._lock:
                self.counts.calls += len(response.history)
            extract_cookies_to_jar(self._session.cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
            return response, self._read(response, is_read)
        except AddressRefused as error:
            raise NeedsAttention(str(error), system=self.system, may_have_happened=bool(call.has_left) and not is_read) from error
        except (requests.exceptions.RequestException, ProtocolError, ReadTimeoutError, OSError, ValueError) as error:
            raise self._trouble(error, is_read) from error

    def _time_left(self, is_read: bool) -> float:
        try:
            return call.left()
        except TimeoutError as error:
            raise self._trouble(error, is_read) from error

    def _trouble(self, error: Exception, is_read: bool) -> ConnectionTrouble:
        """Returns what a failure on the wire means. What never left us was not done."""
        is_tls = isinstance(error, requests.exceptions.SSLError)
        if is_tls and call.has_left is not True and _was_refused_in_handshake(error):
            return NeedsAttention("its certificate or TLS version was refused", system=self.system, code=BAD_CERTIFICATE)
        is_late = call.is_over() or isinstance(error, requests.exceptions.Timeout | ReadTimeoutError)
        if call.has_left is False or (call.has_left is None and _was_never_connected(error)):
            return Unreachable("did not answer the connection" if is_late else "cannot be reached", system=self.system)
        if is_late:
            return self._in_doubt("did not answer in time", is_read)
        if is_tls:
            return self._in_doubt("broke off the secure connection", is_read)
        if isinstance(error, requests.exceptions.ConnectionError):
            return self._in_doubt("broke off the connection", is_read)
        return self._in_doubt("sent an unreadable answer", is_read)

    def _in_doubt(self, detail: str, is_read: bool, *, status: int = 0, code: str = "") -> OutcomeUnknown:
        return OutcomeUnknown(detail, system=self.system, status=status, code=code, may_have_happened=not is_read)

    def _read(self, response: requests.Response, is_read: bool) -> bytes:
        """Returns the whole body. Raises OutcomeUnknown when it is too large; the sockets see to its time."""
        parts, size = [], 0
        for part in response.iter_content(65536):
            size += len(part)
            if size > MAX_BYTES:
                response.close()
                raise self._in_doubt("sent too much", is_read, code=TOO_MUCH)
            parts.append(part)
        return b"".join(parts)

    def _note_allowance(self, headers: Mapping[str, str], server_time: datetime | None) -> None:
        with self._lock:
            for name, attribute in (("X-RateLimit-Limit", "limit"), ("X-RateLimit-Remaining", "remaining")):
                first = headers.get(name, "").split(",")[0].strip()  # may hold two values: "9999, 19988"
                if first.isascii() and first.isdigit() and len(first) < 16:
                    setattr(self.counts, attribute, int(first))
            wait = self._wait(headers.get("X-RateLimit-Reset", ""), server_time)
            if wait is not None:
                self.counts.reset_at = datetime.fromtimestamp(self._clock() + wait, UTC)

    def _wait(self, stated: str, server_time: datetime | None) -> float | None:
        """Returns the seconds to wait. Instants are the server's: its own clock, not ours, says how far off they are."""
        return parse_wait(stated, now=self._clock() if server_time is None else server_time.timestamp())

    def _raise_for_trouble(
        self, response: requests.Response, server_time: datetime | None, exchange: Exchange, *, is_read: bool, is_definite: bool
    ) -> None:
        """Raises for 429 and from 500 up. A refusal to call just now means "not done" when it `is_definite`."""
        status = response.status_code
        stated = response.headers.get("Retry-After", "")
        if status == 429 or (status == 503 and stated):
            wait = self._wait(stated or response.headers.get("X-RateLimit-Reset", ""), server_time)
            wait = 60.0 if wait is None else wait
            self.hold(wait)
            what = "is under maintenance" if status == 503 else "allows no more calls just now"
            raise RateLimited(
                f"{what}; waits {wait:.0f} s",
                system=self.system,
                status=status,
                retry_after=wait,
                may_have_happened=not is_definite,
                exchange=exchange,
            )
        if status >= 500:
            raise ServerTrouble(
                f"failed with {status}", system=self.system, status=status, may_have_happened=not is_read, exchange=exchange
            )


def _was_never_connected(error: Exception) -> bool:
    """Tells whether the connection itself failed, so that nothing can have been sent."""
    text = repr(error)
    return any(mark in text for mark in ("NewConnectionError", "NameResolutionError", "Connection refused", "ConnectTimeoutError"))


def _was_refused_in_handshake(error: Exception) -> bool:
    """Tells whether TLS failed before a request could be sent; in the middle of an answer it leaves a write in doubt."""
    text = repr(error).lower()
    return any(mark in text for mark in ("certificate", "handshake", "unsupported", "wrong_version", "wrong version", "protocol_version"))


def _text(body: bytes | str | None) -> str:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""


def _date(value: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except (ValueError, TypeError, OverflowError):
        return None


def refuse_address(url: str, system: str, reach: Reach) -> None:
    """Raises NeedsAttention for an address that a connection must not have: plain http, private, or in a spelling that
    hides where it leads (SSRF). Where a name leads is seen when the socket connects."""
    if "@" in url:
        raise NeedsAttention("a name or password in the address is refused", system=system)  # and is not repeated here
    parts, host = None, ""
    try:
        parts = urlsplit(url)
        host = unicodedata.normalize("NFKC", parts.hostname or "").rstrip(".")
        is_web = parts.scheme in _PORTS and bool(host) and parts.port != 0
    except ValueError:
        is_web = False
    if parts is None or not is_web or _NOT_IN_BASE.search(url):
        raise NeedsAttention(f"{url[:80]!r} is not a web address", system=system)
    address = _literal(host, system)
    is_loopback = host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)
    if is_loopback and reach.loopback:
        return
    if parts.scheme != "https":
        raise NeedsAttention("plain http is refused; use https", system=system)
    if is_loopback or (address is not None and not reach.permits(address)):
        raise NeedsAttention(f"the private address {host} is refused", system=system)


def _literal(host: str, system: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns the address that the host spells, None for a name. Raises NeedsAttention for 127.1, 2130706433, 0x7f.1:
    resolvers read them as addresses, and no name ends in a number."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        if re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2]):
            raise NeedsAttention(f"{host[:60]} is no plain address", system=system) from None
        return None


def _origin(url: str) -> tuple[str, str, int] | None:
    """Returns scheme, host and port, None where one of them cannot be told or a user name stands before them."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname or "", port) if "@" not in parts.netloc else None


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "unreadable")[:60]
    except ValueError:
        return "unreadable"


def _joined(base: str, target: str) -> str:
    try:
        return urljoin(base, target)
    except ValueError:
        return ""


def unreadable(system: str, answer: Answer, *, is_read: bool) -> ConnectionTrouble:
    """Returns the error for an answer that is not what the system's documentation says: never taken for empty."""
    return OutcomeUnknown(
        f"sent an answer that cannot be read (status {answer.status})",
        system=system,
        status=answer.status,
        may_have_happened=not is_read,
        exchange=answer.exchange,
    )


def not_its_own(system: str, answer: Answer, *, is_read: bool) -> ConnectionTrouble:
    """Returns the error for a status other than success whose body is not the system's own: a gateway's page, another
    web server. A refusal (4xx) means "not done"; after 408, a redirect and anything below 400 a write is in doubt."""
    is_refusal = 400 <= answer.status < 500 and answer.status != 408 and not answer.was_redirected
    return unreadable(system, answer, is_read=is_read or is_refusal)
