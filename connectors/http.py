"""The one place a socket opens: session, time-outs, pacing, Retry-After, quota, redaction, and errors by class.

Reads are repeated by themselves, at most twice; writes never. What a failure says about a write: refused connections,
4xx and Retry-After answers mean "not done"; time-outs, resets, bare 5xx and unreadable answers mean "in doubt".
"""

from __future__ import annotations

import ipaddress
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from connectors.contract import CallCount, Exchange
from connectors.errors import ConnectionTrouble, NeedsAttention, OutcomeUnknown, RateLimited, Rejected, ServerTrouble, Unreachable
from connectors.redaction import Redactor

MAX_BYTES = 64 * 1024 * 1024
MAX_REDIRECTS = 10
REPEATS = 2
LONGEST_PAUSE = 2.0  # seconds we wait ourselves; a longer wait is the engine's
EPOCH_FROM = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `data` is the parsed JSON, None when the body is not JSON. `server_time` is its Date header."""

    status: int
    headers: Mapping[str, str]
    text: str
    data: Any
    server_time: datetime | None
    exchange: Exchange
    was_redirected: bool = False


class _TlsAdapter(HTTPAdapter):
    """An adapter that speaks nothing older than the version asked for (D36)."""

    def __init__(self, least: ssl.TLSVersion, **options: Any) -> None:
        self._least = least
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(self._least), **options)


@cache
def _tls_context(least: ssl.TLSVersion) -> ssl.SSLContext:
    """Returns one context per version for all sessions: reading the certificates costs 20 ms."""
    context = ssl.create_default_context()
    context.minimum_version = least
    return context


def parse_wait(value: str, *, now: float) -> float | None:
    """Returns the seconds that a Retry-After or reset header asks for: seconds, epoch, HTTP date or ISO instant."""
    text = value.strip()
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return max(0.0, number - now if number > EPOCH_FROM else number)
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00")) if "T" in text and "," not in text else parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, at.timestamp() - now)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class HttpClient:
    """HTTP to one system. Thread-safe. `before_send(seconds)` may raise to refuse a call that would outlive a lease."""

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
        adapter: requests.adapters.BaseAdapter | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        before_send: Callable[[float], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.system = system
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        self.redact = Redactor(secrets)
        self.counts = CallCount()
        self._clock, self._sleep, self._before_send, self._jitter = clock, sleep, before_send, jitter
        self._lock = threading.Lock()
        self._wait_until = 0.0
        self._allow_loopback, self._allow_private = allow_loopback, allow_private
        self._host = urlsplit(self.base_url).netloc
        self._refuse_address(self.base_url)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "syncsite/1.0"
        least = ssl.TLSVersion.TLSv1_2 if least_tls == "1.2" else ssl.TLSVersion.TLSv1_3
        size = max(2, concurrency)
        self._session.mount("https://", adapter or _TlsAdapter(least, pool_connections=2, pool_maxsize=size))
        self._session.mount("http://", adapter or HTTPAdapter(pool_connections=2, pool_maxsize=size))

    def close(self) -> None:
        self._session.close()

    def _refuse_address(self, url: str) -> None:
        """Raises NeedsAttention for an address that a connection must not have (SSRF, plain http)."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        is_loopback = host == "localhost" or (address is not None and address.is_loopback)
        if parts.scheme not in ("https", "http") or not host:
            raise NeedsAttention(f"{url[:80]!r} is not a web address", system=self.system)
        if is_loopback and self._allow_loopback:
            return
        if parts.scheme != "https":
            raise NeedsAttention("plain http is refused; use https", system=self.system)
        if is_loopback or (address is not None and not address.is_global and not self._allow_private):
            raise NeedsAttention(f"the private address {host} is refused", system=self.system)

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
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Returns the answer to one request, whatever its status below 500 (429 aside). Raises ConnectionTrouble in
        its kinds. Reads are repeated after a passing failure; writes never."""
        tries = 1 + (REPEATS if is_read else 0)
        for attempt in range(tries):
            try:
                return self._once(method, path, template, is_read, params, form, json_body, headers or {})
            except (ServerTrouble, OutcomeUnknown, Unreachable):
                if attempt + 1 == tries or self._is_short_of_calls():
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
        headers: Mapping[str, str],
    ) -> Answer:
        self._pace()
        if self._before_send is not None:
            self._before_send(self.timeout)
        url = path if path.startswith("http") else self.base_url + path
        if urlsplit(url).netloc != self._host:
            raise NeedsAttention(f"a link to another host ({urlsplit(url).netloc[:60]}) was refused", system=self.system)
        body = self._encoded(json_body)
        prepared = self._session.prepare_request(
            requests.Request(method, url, params=list(params) or None, data=body if body is not None else (form or None), headers=headers)
        )
        started = time.monotonic()
        with self._lock:
            self.counts.calls += 1
            key = f"{method} {template}"
            self.counts.by_template[key] = self.counts.by_template.get(key, 0) + 1
        response, content, redirected = self._send(prepared, is_read)
        text = content.decode("utf-8", "replace")
        exchange = Exchange(
            method,
            self.redact(prepared.url or url, limit=1000),
            self.redact((prepared.body or b"").decode("utf-8", "replace") if isinstance(prepared.body, bytes) else prepared.body or ""),
            response.status_code,
            self.redact(text),
            round((time.monotonic() - started) * 1000),
        )
        self._note_allowance(response.headers)
        self._raise_for_trouble(response, exchange, is_read)
        return Answer(
            response.status_code, response.headers, text, self._parse(content), _date(response.headers.get("Date")), exchange, redirected
        )

    def _encoded(self, json_body: Any) -> bytes | None:
        """Returns the body. Raises Rejected, before anything is sent, for a value that JSON cannot hold."""
        try:
            return None if json_body is None else json.dumps(json_body, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise Rejected(f"cannot be told one of the values ({error})", system=self.system) from error

    def _send(self, prepared: requests.PreparedRequest, is_read: bool) -> tuple[requests.Response, bytes, bool]:
        redirected = False
        for _ in range(MAX_REDIRECTS):
            response, content = self._send_one(prepared, is_read)
            if response.status_code not in (301, 302, 303, 307, 308):
                return response, content, redirected
            target = urljoin(prepared.url or "", response.headers.get("Location", ""))
            if urlsplit(target).netloc != self._host or urlsplit(target).scheme != urlsplit(self.base_url).scheme:
                raise OutcomeUnknown("redirected us to another host; not followed", system=self.system, may_have_happened=not is_read)
            redirected = True
            if response.status_code in (301, 302, 303):  # as the vendor's own library does: POST becomes GET
                prepared = self._session.prepare_request(requests.Request("GET", target))
            else:
                prepared.url = target
        raise OutcomeUnknown("redirected us in a circle", system=self.system, may_have_happened=not is_read)

    def _send_one(self, prepared: requests.PreparedRequest, is_read: bool) -> tuple[requests.Response, bytes]:
        try:
            response = self._session.send(prepared, timeout=self.timeout, allow_redirects=False, stream=True)
            content = self._read(response, is_read)
        except requests.exceptions.ConnectTimeout as error:
            raise Unreachable("did not answer the connection", system=self.system) from error
        except requests.exceptions.ReadTimeout as error:
            raise OutcomeUnknown("did not answer in time", system=self.system, may_have_happened=not is_read) from error
        except requests.exceptions.SSLError as error:
            if _was_refused_in_handshake(error):
                raise NeedsAttention("its certificate or TLS version was refused", system=self.system) from error
            raise OutcomeUnknown("broke off the secure connection", system=self.system, may_have_happened=not is_read) from error
        except requests.exceptions.ConnectionError as error:
            if _was_never_connected(error):
                raise Unreachable("cannot be reached", system=self.system) from error
            raise OutcomeUnknown("broke off the connection", system=self.system, may_have_happened=not is_read) from error
        except (requests.exceptions.RequestException, ProtocolError, ReadTimeoutError) as error:
            raise OutcomeUnknown("sent an unreadable answer", system=self.system, may_have_happened=not is_read) from error
        return response, content

    def _read(self, response: requests.Response, is_read: bool) -> bytes:
        """Returns the whole body. Raises OutcomeUnknown when it is too large, too slow or cut short."""
        parts, size, started = [], 0, time.monotonic()
        for part in response.iter_content(65536):
            size += len(part)
            if size > MAX_BYTES or time.monotonic() - started > self.timeout * 2:
                response.close()
                raise OutcomeUnknown("sent too much or too slowly", system=self.system, may_have_happened=not is_read)
            parts.append(part)
        return b"".join(parts)

    def _note_allowance(self, headers: Mapping[str, str]) -> None:
        with self._lock:
            for name, attribute in (("X-RateLimit-Limit", "limit"), ("X-RateLimit-Remaining", "remaining")):
                first = headers.get(name, "").split(",")[0].strip()  # may hold two values: "9999, 19988"
                if first.isdigit():
                    setattr(self.counts, attribute, int(first))
            wait = parse_wait(headers.get("X-RateLimit-Reset", ""), now=self._clock())
            if wait is not None:
                self.counts.reset_at = datetime.fromtimestamp(self._clock() + wait, UTC)

    def _raise_for_trouble(self, response: requests.Response, exchange: Exchange, is_read: bool) -> None:
        status = response.status_code
        stated = response.headers.get("Retry-After", "")
        if status == 429 or (status == 503 and stated):
            wait = parse_wait(stated or response.headers.get("X-RateLimit-Reset", ""), now=self._clock())
            wait = 60.0 if wait is None else wait
            with self._lock:
                self._wait_until = max(self._wait_until, self._clock() + wait)
            what = "is under maintenance" if status == 503 else "allows no more calls just now"
            raise RateLimited(f"{what}; waits {wait:.0f} s", system=self.system, status=status, retry_after=wait, exchange=exchange)
        if status >= 500:
            raise ServerTrouble(
                f"failed with {status}", system=self.system, status=status, may_have_happened=not is_read, exchange=exchange
            )

    @staticmethod
    def _parse(content: bytes) -> Any:
        try:
            return json.loads(content, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None


def _was_never_connected(error: Exception) -> bool:
    """Tells whether the connection itself failed, so that nothing can have been sent."""
    text = repr(error)
    return any(mark in text for mark in ("NewConnectionError", "NameResolutionError", "Connection refused", "ConnectTimeoutError"))


def _was_refused_in_handshake(error: Exception) -> bool:
    """Tells whether TLS failed before a request could be sent; in the middle of an answer it leaves a write in doubt."""
    text = repr(error).lower()
    return any(mark in text for mark in ("certificate", "handshake", "unsupported", "wrong_version", "wrong version", "protocol_version"))


def _date(value: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except (ValueError, TypeError):
        return None


def unreadable(system: str, answer: Answer, *, is_read: bool) -> ConnectionTrouble:
    """Returns the error for an answer that is not what the system's documentation says: never taken for empty."""
    return OutcomeUnknown(
        f"sent an answer that cannot be read (status {answer.status})",
        system=system,
        status=answer.status,
        may_have_happened=not is_read,
        exchange=answer.exchange,
    )
