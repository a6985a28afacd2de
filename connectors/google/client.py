"""One of Google's APIs over HTTP, for one mailbox: a token renewed once, calls one after another, errors by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import CallCount
from connectors.errors import ConnectorError, RateLimited, RecordGone
from connectors.google import batch as batches
from connectors.google.apis import PEOPLE, Api
from connectors.google.faults import Fault, Judge, part_fault, read_fault
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.tokens import GoogleTokens
from connectors.http import LONGEST_PAUSE, Answer, Document, HttpClient, not_its_own, parse_wait, read_json, unreadable

MOST_PARTS = 50  # of one batch: pages of the documentation differ, 50, 100 and 1000 (reference 8)
PART = "part "  # in CallCount.by_template, before the parts of batches


@dataclass(frozen=True, slots=True)
class Part:
    """One person's part of a batch: the person, or why not. `asked` is the name that was asked for."""

    asked: str
    person: Any = field(default=None, repr=False)
    fault: Fault | None = None


class GoogleClient:
    """Calls of one mailbox, or of the connection itself where `address` is "". Not for several threads at once: Google
    wants the changes of one user in a row. Paths and templates are those behind the API's root.

    `is_of_record`: the path names one record; that it is not there is RecordGone then, and says nothing of the mailbox."""

    def __init__(self, http: HttpClient, tokens: GoogleTokens, settings: GoogleSettings, address: str = "", api: Api = PEOPLE) -> None:
        self._http, self._tokens, self._settings, self.api = http, tokens, settings, api
        self._pause = min(settings.pause, api.pause)
        self.judge = Judge(settings, address, tokens.lacking, api)
        tokens.hide_from(http)

    @property
    def counts(self) -> CallCount:
        return self._http.counts

    def get(
        self,
        path: str,
        params: Sequence[tuple[str, str]] = (),
        *,
        template: str = "",
        scopes: Sequence[str] = (),
        is_of_record: bool = False,
    ) -> Answer:
        """Returns the answer to a read; its `data` is a JSON object. Raises the error of any other answer."""
        return self._object("GET", path, template, is_read=True, params=params, scopes=scopes, is_of_record=is_of_record)

    def get_each(self, paths: Sequence[str], *, template: str = "") -> list[Answer | None]:
        """Returns the answers to reads of one record each, in order, fifty in one call; None for a record that is not there.
        Paths hold their query, quoted. Raises the error of any other answer."""
        found: list[Answer | None] = []
        size = MOST_PARTS if self._settings.reads_in_batches else 1
        for start in range(0, len(paths), size):
            some = paths[start : start + size]
            found += self._read_together(some, template) if len(some) > 1 else [self._read_one(some[0], template)]
        return found

    def _read_one(self, path: str, template: str) -> Answer | None:
        try:
            return self.get(path, template=template, is_of_record=True)
        except RecordGone:
            return None

    def _read_together(self, paths: Sequence[str], template: str) -> list[Answer | None]:
        content = batches.written([batches.Call("GET", path, template) for path in paths], self.api.root)
        answer = self.batch(self.api.batch, content, batches.CONTENT_TYPE, is_read=True, parts=len(paths))
        parts = batches.read(answer.content, answer.headers.get("Content-Type", ""), len(paths))
        if not any(said.status for said in parts):
            raise unreadable(SYSTEM, answer, is_read=True)
        by_template, key = self._http.counts.by_template, f"{PART}GET {self._counted(template or 'of a batch')}"
        by_template[key] = by_template.get(key, 0) + len(parts)
        return [self._part(path, said, template, answer) for path, said in zip(paths, parts, strict=True)]

    def _part(self, path: str, said: batches.Said, template: str, whole: Answer) -> Answer | None:
        """Returns the answer of one part. One that is missing, whose token was refused, or that failed in passing, is asked for by
        itself."""
        if said.status in (0, 401) or said.status >= 500:
            return self._read_one(path, template)
        answer = replace(whole, status=said.status, headers={"Retry-After": said.wait}, data=said.data, content=b"")
        if said.status == 200 and isinstance(said.data, dict):
            return answer
        if said.status == 200:
            raise unreadable(SYSTEM, answer, is_read=True)
        error = self._error(answer, is_read=True, scopes=(), is_of_record=True)
        if isinstance(error, RecordGone):
            return None
        raise error

    def post(
        self, path: str, body: Any, *, params: Sequence[tuple[str, str]] = (), template: str = "", is_of_record: bool = False
    ) -> Answer:
        """Returns the answer to a write; its `data` is a JSON object. Raises the error of any other answer."""
        return self._object("POST", path, template, is_read=False, body=body, params=params, is_of_record=is_of_record)

    def patch(self, path: str, body: Any, *, params: Sequence[tuple[str, str]] = (), template: str = "", if_match: str = "") -> Answer:
        """Returns the answer to a change of one record, as `post` does; with `if_match` it rests on that version."""
        own = {"If-Match": if_match} if if_match else {}
        return self._object("PATCH", path, template, is_read=False, body=body, params=params, headers=own, is_of_record=True)

    def delete(self, path: str, *, params: Sequence[tuple[str, str]] = (), template: str = "", if_match: str = "") -> Answer:
        """Returns the answer to the deletion of one record, which is empty. Raises as `patch`."""
        own = {"If-Match": if_match} if if_match else {}
        answer = self._call("DELETE", f"{self.api.root}{path}", self._counted(template or path), is_read=False, params=params, headers=own)
        if answer.status not in (200, 204) or answer.was_redirected:
            raise self._error(answer, is_read=False, scopes=(), is_of_record=True)
        return answer

    def batch(self, path: str, content: bytes, content_type: str, *, is_read: bool, parts: int) -> Answer:
        """Returns the answer to many calls in one (reference section 8), its `content` as it came. Raises the error of any other
        answer. `path` is not below the API's root. The quota counts each part."""
        headers = {"Content-Type": content_type, "Accept": "multipart/mixed"}
        answer = self._call("POST", path, path, is_read=is_read, headers=headers, document=Document(content), cost=parts)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=is_read, scopes=(), is_of_record=False)
        return answer

    def wait_for_version(self) -> None:
        """Waits until what was read a moment ago is known everywhere at Google."""
        self._http.back_off(0, first_seconds=self._settings.stale_wait)

    def _object(
        self,
        method: str,
        path: str,
        template: str,
        *,
        is_read: bool,
        scopes: Sequence[str] = (),
        is_of_record: bool = False,
        **sent: Any,
    ) -> Answer:
        answer = self._call(method, f"{self.api.root}{path}", self._counted(template or path), is_read=is_read, **sent)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=is_read, scopes=scopes, is_of_record=is_of_record)
        if not isinstance(answer.data, dict):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        template: str,
        *,
        is_read: bool,
        params: Sequence[tuple[str, str]] = (),
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        document: Document | None = None,
        cost: int = 1,
    ) -> Answer:
        """Returns the answer to one request, sent once more with a new token when its token was refused: then nothing was
        done. `cost`: as how many calls its quota counts it."""
        for attempt in (1, 2):
            token = self._tokens.token()
            sent = {"Authorization": f"Bearer {token}", "Accept": "application/json", **(headers or {})}
            if body is not None:
                sent["Content-Type"] = "application/json"
            answer = self._http.request(
                method, path, template=template, is_read=is_read, params=params, json_body=body, document=document, headers=sent
            )
            if document is not None and answer.status != 200:
                answer = replace(answer, data=read_json(answer.content))  # a refusal is JSON all the same
            if self._pause > 0:
                self._http.hold(min(self._pause * cost, LONGEST_PAUSE))
            if answer.status != 401 or answer.was_redirected or read_fault(answer.data, 401) is None:
                return answer
            if attempt == 1:
                self._tokens.renew(token)
        raise self.judge.refused(
            "refuses our token even after it was renewed; connect again", system=SYSTEM, status=401, exchange=answer.exchange
        )

    def _counted(self, template: str) -> str:
        """Returns the name that calls are counted by. People's own stand without the root, as they always did."""
        return template if self.api is PEOPLE else f"{self.api.root}{template}"

    def _error(self, answer: Answer, *, is_read: bool, scopes: Sequence[str], is_of_record: bool) -> ConnectorError:
        """Returns what an answer other than success means. What has no error body of Google's own comes from a gateway or
        another server."""
        fault = read_fault(answer.data, answer.status) or (Fault(410, "") if answer.status == 410 else None)  # often without words
        if fault is None or not 400 <= answer.status < 500 or answer.status == 408 or answer.was_redirected:
            return not_its_own(SYSTEM, answer, is_read=is_read)
        now = answer.server_time.timestamp() if answer.server_time is not None else 0.0
        wait = parse_wait(answer.headers.get("Retry-After", ""), now=now)
        error = self.judge.error(
            fault,
            is_read=is_read,
            redact=answer.redact,
            exchange=answer.exchange,
            scopes=scopes or (self.api.scope.name,),
            wait=wait,
            is_of_record=is_of_record,
        )
        return self.judged(error)

    def error_of_part(self, fault: Fault, answer: Answer, *, is_read: bool) -> ConnectorError:
        """Returns what the refusal of one part of a batch means."""
        return self.judged(
            self.judge.error(fault, is_read=is_read, redact=answer.redact, exchange=answer.exchange, scopes=(self.api.scope.name,))
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
