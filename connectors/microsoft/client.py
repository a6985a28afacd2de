"""Microsoft Graph over HTTP: one mailbox's calls, or the directory's; immutable ids on each, twenty parts in a `$batch`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

from connectors.contract import CallCount, Exchange
from connectors.errors import ConnectorError, MailboxRefused, NeedsAttention, RecordGone, Rejected, StaleVersion
from connectors.http import REPEATS, Answer, HttpClient, not_its_own, parse_wait, unreadable
from connectors.mailbox_writes import in_halves
from connectors.microsoft import faults
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM
from connectors.microsoft.slots import Slots
from connectors.microsoft.tokens import OF_THE_APP
from connectors.oauth import TokenSource

IMMUTABLE = 'IdType="ImmutableId"'
PART = "part "  # in CallCount.by_template, before the parts of $batch calls: Microsoft counts each of them
TOO_LARGE = 413


def address(path: str, **options: str) -> str:
    """Returns the address of a call, its query options without the dollar sign. Blanks must not become plus signs there."""
    query = "&".join(f"${name}={quote(value, safe='(),$')}" for name, value in options.items() if value)
    return f"{path}?{query}" if query else path


def segment(text: str) -> str:
    """Returns a piece of a path. Ids hold equal signs, addresses may hold anything."""
    return quote(text, safe="@")


@dataclass(frozen=True, slots=True)
class Part:
    """One call within a `$batch`, its address without the version. `template` is how it is counted."""

    method: str
    url: str
    template: str
    body: Any = field(default=None, repr=False)
    if_match: str = ""
    page_size: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one part; status 0 where there is none that can be read."""

    part: Part
    status: int
    body: Any = field(repr=False)
    wait: float | None
    answer: Answer = field(repr=False)

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def exchange(self) -> Exchange:
        """The part by itself, for the log that support reads."""
        redact, whole = self.answer.redact, self.answer.exchange
        sent, said = ("" if body is None else json.dumps(body) for body in (self.part.body, self.body))
        url = redact(whole.url.removesuffix("/$batch") + self.part.url, limit=1000)
        return Exchange(f"$batch {self.part.method}", url, redact(sent), self.status, redact(said), whole.milliseconds)


Answered = TypeVar("Answered")


class GraphClient:
    """The calls of one mailbox, or of the directory where `mailbox` is "". `places` and `everywhere` bound how many are
    under way; `is_delegated`: the tokens are this mailbox's own; `prefers`: what every call asks for beside immutable ids."""

    def __init__(
        self,
        http: HttpClient,
        tokens: TokenSource,
        places: Slots,
        everywhere: Slots,
        *,
        mailbox: str = "",
        is_delegated: bool = False,
        prefers: Sequence[str] = (),
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._places, self._everywhere = places, everywhere
        self._is_delegated = is_delegated
        self._prefers = ", ".join((IMMUTABLE, *prefers))
        self._lock = threading.Lock()
        self.mailbox = mailbox
        self.root = f"/users/{segment(mailbox)}" if mailbox else ""
        tokens.hide_from(http)

    @property
    def counts(self) -> CallCount:
        return self._http.counts

    def token(self) -> str:
        """Returns an access token. Raises NeedsAttention; MailboxRefused where only this mailbox's owner can mend it."""
        try:
            return self._tokens.token()
        except NeedsAttention as refusal:
            raise self._judged(refusal) from refusal

    def _renew(self, refused: str) -> None:
        try:
            self._tokens.renew(refused)
        except NeedsAttention as refusal:
            raise self._judged(refusal) from refusal

    def _judged(self, refusal: NeedsAttention) -> NeedsAttention:
        if not self._is_delegated or refusal.code in OF_THE_APP:
            return refusal
        return MailboxRefused(
            f"{refusal.detail} (mailbox {self.mailbox})",
            system=SYSTEM,
            status=refusal.status,
            code=refusal.code,
            exchange=refusal.exchange,
        )

    # --- single calls -------------------------------------------------------------------------------------------------

    def get_object(self, path: str, *, template: str, page_size: int = 0) -> dict[str, Any]:
        """Returns the JSON object that answers a read. Raises the error of any other answer."""
        answer = self._call("GET", path, template, is_read=True, page_size=page_size)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=True)
        if not isinstance(answer.data, dict):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer.data

    def pages(self, path: str, *, template: str) -> Iterator[list[Any]]:
        """Yields a list a page at a time. Raises OutcomeUnknown for one that cannot be read, or that goes in a circle."""
        seen = set()
        while path:
            seen.add(path)
            data = self.get_object(path, template=template)
            rows, link = data.get("value"), data.get("@odata.nextLink")
            path = self.local(link) if isinstance(link, str) else ""
            if not isinstance(rows, list) or path in seen:
                raise self.unreadable_list()
            yield rows

    def every(self, path: str, *, template: str) -> list[Any]:
        """Returns a whole list that is short."""
        return [row for rows in self.pages(path, template=template) for row in rows]

    def unreadable_list(self) -> ConnectorError:
        """Returns the error for a list that is not what the documentation says: never taken for empty."""
        return faults.error_of(200, None, is_read=True, mailbox=self.mailbox, redact=self._http.redact)

    def send(self, method: str, path: str, body: Any, *, template: str, if_match: str = "") -> Answer:
        """Returns the answer to a write that went well. Raises the error of any other."""
        answer = self._call(method, path, template, is_read=False, body=body, if_match=if_match)
        if not 200 <= answer.status < 300 or answer.was_redirected:
            raise self._error(answer, is_read=False)
        return answer

    def local(self, link: str) -> str:
        """Returns the address of a link in an answer, without host and version. Raises NeedsAttention for one that leads
        to another host: a token would go there."""
        path = self.local_or_none(link)
        if path is None:
            raise NeedsAttention("sent a link to another host; it was refused", system=SYSTEM, code="foreign_link")
        return path

    def local_or_none(self, link: str) -> str | None:
        """Returns the same, None for a link that must not be followed."""
        try:
            home, parts = urlsplit(self._http.base_url), urlsplit(link)
            is_ours = _origin(parts) == _origin(home)
        except ValueError:
            return None
        root = f"{home.path}/"
        if not is_ours or "@" in parts.netloc or not parts.path.startswith(root) or ".." in parts.path.split("/"):
            return None
        return "/" + parts.path[len(root) :] + (f"?{parts.query}" if parts.query else "")

    def _call(
        self,
        method: str,
        path: str,
        template: str,
        *,
        is_read: bool,
        body: Any = None,
        if_match: str = "",
        page_size: int = 0,
        units: int = 1,
    ) -> Answer:
        """Returns the answer to one request, sent once more with a new token when the first was refused: then nothing was
        done."""
        units = min(units, self._places.most)  # Microsoft works on so many parts of a $batch at a time
        for attempt in (1, 2):
            token = self.token()
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **self._headers(body, if_match, page_size)}
            with self._places.taken(units), self._everywhere.taken(units):
                answer = self._http.request(method, path, template=template, is_read=is_read, json_body=body, headers=headers)
            if answer.status != 401 or answer.was_redirected or attempt == 2:
                return answer
            self._renew(token)
        raise AssertionError("unreachable")

    def _headers(self, body: Any, if_match: str, page_size: int) -> dict[str, str]:
        prefer = f"{self._prefers}, odata.maxpagesize={page_size}" if page_size else self._prefers
        own = {"Prefer": prefer, "If-Match": if_match, "Content-Type": "application/json" if body is not None else ""}
        return {name: value for name, value in own.items() if value}

    def _request(self, name: str, part: Part) -> dict[str, Any]:
        row = {"id": name, "method": part.method, "url": part.url, "headers": self._headers(part.body, part.if_match, part.page_size)}
        return row if part.body is None else {**row, "body": part.body}

    def _error(self, answer: Answer, *, is_read: bool, mailbox: str | None = None) -> ConnectorError:
        """Returns what an answer other than success means. What has no error body of Microsoft's own comes from a gateway
        or another server."""
        if faults.read_fault(answer.data) is None or not 400 <= answer.status < 500 or answer.was_redirected:
            return not_its_own(SYSTEM, answer, is_read=is_read)
        return faults.error_of(
            answer.status,
            answer.data,
            is_read=is_read,
            mailbox=self.mailbox if mailbox is None else mailbox,
            redact=answer.redact,
            exchange=answer.exchange,
        )

    # --- batches ------------------------------------------------------------------------------------------------------

    def read_all(self, parts: Sequence[Part]) -> list[Reply]:
        """Returns the answers to reads, in order, twenty a call. A part that failed in passing is asked again."""
        found: list[Reply] = []
        for start in range(0, len(parts), PARTS_A_CALL):
            found += self._read_batch(parts[start : start + PARTS_A_CALL])
        return found

    def _read_batch(self, parts: Sequence[Part]) -> list[Reply]:
        replies = self._batch(parts)
        for attempt in range(REPEATS):
            failed = [at for at, reply in enumerate(replies) if reply.status >= 500 and reply.wait is None or reply.status == 0]
            if not failed:
                break
            self._http.back_off(attempt, first_seconds=0.1)
            for at, reply in zip(failed, self._batch([parts[at] for at in failed]), strict=True):
                replies[at] = reply
        return replies

    def write_all(self, parts: Sequence[Part]) -> list[Reply | ConnectorError]:
        """Returns the answers to writes, at most twenty, in order, each sent once. Trouble that some of them met is the answer to those
        alone; what the whole call met is raised (`in_halves`)."""
        return in_halves(self._write_batch, parts, (Rejected,))

    def _batch(self, parts: Sequence[Part]) -> list[Reply]:
        token = self.token()
        replies = self._batch_once(parts, is_read=True)
        refused = _refused(replies)
        again = self._with_new_token(token, [parts[at] for at in refused], is_read=True)
        return _put_in(replies, refused, again)

    def _write_batch(self, parts: Sequence[Part]) -> list[Reply | ConnectorError]:
        token = self.token()
        replies = self._batch_once(parts, is_read=False)
        refused = _refused(replies)
        again: list[Reply | ConnectorError] = []
        try:
            again += self._with_new_token(token, [parts[at] for at in refused], is_read=False)
        except ConnectorError as error:
            if len(refused) == len(parts):
                raise
            again += [error for _ in refused]  # the others are done
        return _put_in(replies, refused, again)

    def _with_new_token(self, token: str, parts: Sequence[Part], *, is_read: bool) -> list[Reply]:
        """Sends parts again that were refused although the envelope was let in: the token ended in between."""
        if not parts:
            return []
        self._renew(token)
        return self._batch_once(parts, is_read=is_read)

    def _batch_once(self, parts: Sequence[Part], *, is_read: bool) -> list[Reply]:
        if not 0 < len(parts) <= PARTS_A_CALL:
            raise ValueError(f"a batch takes 1 to {PARTS_A_CALL} parts")
        body = {"requests": [self._request(str(at), part) for at, part in enumerate(parts)]}
        self._count(parts)
        answer = self._call("POST", "/$batch", "/$batch", is_read=is_read, body=body, units=len(parts))
        if answer.status == TOO_LARGE and not answer.was_redirected:
            raise Rejected("takes no call of this size", system=SYSTEM, status=answer.status, exchange=answer.exchange)
        if answer.status != 200 or answer.was_redirected:
            raise self._error_of_envelope(answer, is_read=is_read)
        said = answer.data.get("responses") if isinstance(answer.data, dict) else None
        if not isinstance(said, list):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        return [self._reply(str(at), part, said, answer) for at, part in enumerate(parts)]

    def _error_of_envelope(self, answer: Answer, *, is_read: bool) -> ConnectorError:
        """Returns what the refusal of a whole call means: it speaks of no mailbox and of no contact."""
        error = self._error(answer, is_read=is_read, mailbox="")
        if isinstance(error, RecordGone | StaleVersion):
            return NeedsAttention(
                "takes no calls of several parts at this address; look at the address of the connection",
                system=SYSTEM,
                status=answer.status,
                code=error.code,
                exchange=answer.exchange,
            )
        return error

    def _count(self, parts: Sequence[Part]) -> None:
        with self._lock:
            by_template = self._http.counts.by_template
            for part in parts:
                key = f"{PART}{part.method} {part.template}"
                by_template[key] = by_template.get(key, 0) + 1

    def _reply(self, name: str, part: Part, said: Sequence[Any], answer: Answer) -> Reply:
        rows = [row for row in said if isinstance(row, Mapping) and str(row.get("id")) == name]
        row: Mapping[str, Any] = rows[0] if len(rows) == 1 else {}
        status = row.get("status")
        status = status if isinstance(status, int) and not isinstance(status, bool) else 0
        body = row.get("body")
        headers = row.get("headers")
        stated = {str(k).casefold(): str(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {}
        wait = self._wait(stated.get("retry-after", ""), answer.server_time)
        if status == 429:
            self._http.hold(faults.UNSTATED_WAIT if wait is None else wait)
        return Reply(part, status, body, wait, answer)

    @staticmethod
    def _wait(stated: str, server_time: datetime | None) -> float | None:
        return parse_wait(stated, now=server_time.timestamp() if server_time is not None else 0.0) if stated else None

    def error_of(self, reply: Reply, *, is_read: bool) -> ConnectorError:
        """Returns what a part's answer other than success means."""
        return faults.error_of(
            reply.status,
            reply.body,
            is_read=is_read,
            mailbox=self.mailbox,
            wait=reply.wait,
            redact=reply.answer.redact,
            exchange=reply.exchange,
        )

    def unreadable(self, reply: Reply, *, is_read: bool) -> ConnectorError:
        """Returns the error for a part whose answer is not what the documentation says."""
        error = unreadable(SYSTEM, reply.answer, is_read=is_read)
        error.exchange = reply.exchange
        return error


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _refused(replies: Sequence[Reply]) -> list[int]:
    """Returns where the parts stand whose token was refused."""
    return [at for at, reply in enumerate(replies) if reply.status == 401]


def _put_in(replies: Sequence[Reply], places: Sequence[int], again: Sequence[Answered]) -> list[Reply | Answered]:
    """Returns the replies with these in their places."""
    later = dict(zip(places, again, strict=True))
    return [later.get(at, reply) for at, reply in enumerate(replies)]
