"""The People API over HTTP, for one mailbox: a token renewed once, calls one after another, errors by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import CallCount
from connectors.errors import ConnectorError, RateLimited
from connectors.google.faults import Fault, Judge, part_fault, read_fault
from connectors.google.scopes import CONTACTS
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.tokens import GoogleTokens
from connectors.http import Answer, HttpClient, not_its_own, parse_wait, unreadable

V1 = "/v1"


@dataclass(frozen=True, slots=True)
class Part:
    """One person's part of a batch: the person, or why not. `asked` is the name that was asked for."""

    asked: str
    person: Any = field(default=None, repr=False)
    fault: Fault | None = None


class GoogleClient:
    """Calls of one mailbox, or of the connection itself where `address` is "". Not for several threads at once: Google
    wants the changes of one user in a row."""

    def __init__(self, http: HttpClient, tokens: GoogleTokens, settings: GoogleSettings, address: str = "") -> None:
        self._http, self._tokens, self._settings = http, tokens, settings
        self.judge = Judge(settings, address, tokens.lacking)
        tokens.hide_from(http)

    @property
    def counts(self) -> CallCount:
        return self._http.counts

    def get(self, path: str, params: Sequence[tuple[str, str]] = (), *, template: str = "", scopes: Sequence[str] = ()) -> Answer:
        """Returns the answer to a read; its `data` is a JSON object. Raises the error of any other answer."""
        return self._object("GET", path, template or path, is_read=True, params=params, scopes=scopes)

    def post(self, path: str, body: Any, *, template: str = "") -> Answer:
        """Returns the answer to a write; its `data` is a JSON object. Raises the error of any other answer."""
        return self._object("POST", path, template or path, is_read=False, body=body)

    def wait_for_version(self) -> None:
        """Waits until what was read a moment ago is known everywhere at Google."""
        self._http.back_off(0, first_seconds=self._settings.stale_wait)

    def _object(self, method: str, path: str, template: str, *, is_read: bool, scopes: Sequence[str] = (), **sent: Any) -> Answer:
        answer = self._call(method, path, template, is_read=is_read, **sent)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=is_read, scopes=scopes or (CONTACTS.name,))
        if not isinstance(answer.data, dict):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        return answer

    def _call(
        self, method: str, path: str, template: str, *, is_read: bool, params: Sequence[tuple[str, str]] = (), body: Any = None
    ) -> Answer:
        """Returns the answer to one request, sent once more with a new token when its token was refused: then nothing was
        done."""
        for attempt in (1, 2):
            token = self._tokens.token()
            sent = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            if body is not None:
                sent["Content-Type"] = "application/json"
            answer = self._http.request(
                method, f"{V1}{path}", template=template, is_read=is_read, params=params, json_body=body, headers=sent
            )
            if self._settings.pause > 0:
                self._http.hold(self._settings.pause)
            if answer.status != 401 or answer.was_redirected or read_fault(answer.data, 401) is None:
                return answer
            if attempt == 1:
                self._tokens.renew(token)
        raise self.judge.refused(
            "refuses our token even after it was renewed; connect again", system=SYSTEM, status=401, exchange=answer.exchange
        )

    def _error(self, answer: Answer, *, is_read: bool, scopes: Sequence[str]) -> ConnectorError:
        """Returns what an answer other than success means. What has no error body of Google's own comes from a gateway or
        another server."""
        fault = read_fault(answer.data, answer.status) or (Fault(410, "") if answer.status == 410 else None)  # often without words
        if fault is None or not 400 <= answer.status < 500 or answer.status == 408 or answer.was_redirected:
            return not_its_own(SYSTEM, answer, is_read=is_read)
        now = answer.server_time.timestamp() if answer.server_time is not None else 0.0
        wait = parse_wait(answer.headers.get("Retry-After", ""), now=now)
        error = self.judge.error(fault, is_read=is_read, redact=answer.redact, exchange=answer.exchange, scopes=scopes, wait=wait)
        return self.judged(error)

    def error_of_part(self, fault: Fault, answer: Answer, *, is_read: bool) -> ConnectorError:
        """Returns what the refusal of one part of a batch means."""
        return self.judged(
            self.judge.error(fault, is_read=is_read, redact=answer.redact, exchange=answer.exchange, scopes=(CONTACTS.name,))
        )

    def judged(self, error: ConnectorError) -> ConnectorError:
        """Returns the error, after holding back further calls where it asks for that."""
        if isinstance(error, RateLimited) and error.retry_after:
            self._http.hold(error.retry_after)
        return error

    def close(self) -> None:
        self._http.close()


def read_part(raw: Any, is_sound: Callable[[Any], bool]) -> Part | None:
    """Returns one PersonResponse, None when it cannot be read: neither a whole person nor a refusal."""
    if not isinstance(raw, Mapping):
        return None
    person, asked = raw.get("person"), raw.get("requestedResourceName")
    fault = part_fault(raw)
    if fault is None and not is_sound(person):
        return None
    name = asked if isinstance(asked, str) and asked else person.get("resourceName") if isinstance(person, Mapping) else ""
    return Part(str(name or ""), None if fault else person, fault)
