"""Salesforce over HTTP: its own address per organisation, a token that ends without notice, composite calls, errors by class."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from connectors.contract import CallCount
from connectors.errors import ConnectorError, NeedsAttention, RateLimited
from connectors.http import Answer, HttpClient, not_its_own, unreadable
from connectors.oauth import TokenSource
from connectors.salesforce.codec import SYSTEM
from connectors.salesforce.faults import error_of, read_faults
from connectors.salesforce.settings import SalesforceSettings

VERSIONS = "/services/data"
SESSION_OVER = "INVALID_SESSION_ID"
NO_NEW_TOKEN_MENDS = (  # answers with the code of an ended session that mean something else
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
)
# "api-usage=18/15000; per-app-api-usage=17/250(appName=x)": each is an allowance of its own.
_USAGE = re.compile(r"(?:^|[;\s])(?:per-app-)?api-usage=(\d{1,12})/(\d{1,12})(?!\d)")


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of a query. `following` leads to the next, "" when this is the last."""

    rows: list[Any] = field(repr=False)
    total: int
    following: str
    server_time: datetime
    answer: Answer = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """The answer to one part of a composite call."""

    status: int
    body: Any = field(repr=False)


class SalesforceClient:
    """Calls below `/services/data/v…`, at the address that came with the token. `may_reach` tells whether tokens may be
    sent to a host."""

    def __init__(
        self, http: HttpClient, tokens: TokenSource, settings: SalesforceSettings, may_reach: Callable[[str], bool] = lambda host: True
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._settings = settings
        self._may_reach = may_reach
        self.root = f"{VERSIONS}/v{settings.api_version}"
        self.first_heard_at: datetime | None = None  # Salesforce's clock at our first call: nothing was read before

    @property
    def counts(self) -> CallCount:
        return self._http.counts

    def get(self, path: str, params: Sequence[tuple[str, str]] = (), *, template: str = "") -> Answer:
        """Returns the answer to a read; its `data` is JSON. Raises the error of any other answer."""
        answer = self._call("GET", path, template or path, is_read=True, params=params)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=True)
        if not isinstance(answer.data, dict | list):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer

    def get_object(self, path: str, params: Sequence[tuple[str, str]] = (), *, template: str = "") -> dict[str, Any]:
        """Returns the JSON object that answers a read. Raises as `get` does."""
        answer = self.get(path, params, template=template)
        if not isinstance(answer.data, dict):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer.data

    def query(self, soql: str, *, is_all: bool = False) -> Rows:
        """Returns the first page of a query; with `is_all` deleted rows are among it. One too long for an address goes in
        the body of a composite call."""
        resource = "queryAll" if is_all else "query"
        path = f"{self.root}/{resource}"
        if len(path) + len(quote_plus(soql)) <= self._settings.longest_address:
            return self._rows(answer := self.get(path, [("q", soql)], template=f"/{resource}"), answer.data)
        return self._queries(path, [soql])[0]

    def queries(self, statements: Sequence[str]) -> list[Rows]:
        """Returns the first page of each query, all in one call. Raises the error of the first that was refused."""
        if len(statements) == 1:
            return [self.query(statements[0])]
        return self._queries(f"{self.root}/query", statements)

    def _queries(self, path: str, statements: Sequence[str]) -> list[Rows]:
        named = [query_part(path, soql, f"q{place}") for place, soql in enumerate(statements)]
        parts, answer = self.composite(named, is_read=True)
        for part in parts:
            if part.status != 200:
                raise self._error_of_part(part, answer, is_read=True)
        return [self._rows(answer, part.body) for part in parts]

    def follow(self, link: str) -> Rows:
        """Returns a further page. Raises Rejected with the code LOCATOR_GONE when the query is no longer kept."""
        answer = self.get(link, template="/query/{locator}")
        return self._rows(answer, answer.data)

    def _rows(self, answer: Answer, data: Any) -> Rows:
        said = data if isinstance(data, dict) else {}
        rows, total, is_done, link = said.get("records"), said.get("totalSize"), said.get("done"), said.get("nextRecordsUrl")
        is_sound = isinstance(rows, list) and isinstance(total, int) and isinstance(is_done, bool)
        leads_on = isinstance(link, str) and link.startswith(VERSIONS) and bool(rows)  # else a sweep would end early, or never
        if not is_sound or answer.server_time is None or (not is_done and not leads_on):
            raise unreadable(SYSTEM, answer, is_read=True)
        return Rows(said["records"], said["totalSize"], "" if is_done else str(link), answer.server_time, answer)

    def composite(
        self, parts: Sequence[dict[str, Any]], *, is_read: bool, headers: Mapping[str, str] | None = None
    ) -> tuple[list[Part], Answer]:
        """Returns the answers to the parts, in order, and the whole answer. Each part stands for itself. Raises when the
        whole call was refused or cannot be read."""
        body = {"allOrNone": False, "collateSubrequests": False, "compositeRequest": list(parts)}
        answer = self._post(f"{self.root}/composite", "/composite", body, is_read=is_read, headers=headers)
        said = answer.data.get("compositeResponse") if isinstance(answer.data, dict) else None
        rows = [row for row in said if isinstance(row, dict)] if isinstance(said, list) else []
        by_name = {row.get("referenceId"): row for row in rows}
        found = [by_name.get(part["referenceId"], {}) for part in parts]
        if len(rows) != len(parts) or not all(isinstance(row.get("httpStatusCode"), int) for row in found):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        return [Part(row["httpStatusCode"], row.get("body")) for row in found], answer

    def collection(
        self, method: str, path: str, template: str, *, count: int, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[list[dict[str, Any]], Answer]:
        """Returns what a collections call says of each of its `count` records, in order. Raises when the whole call was
        refused, or when it cannot be told what was done."""
        answer = self._call(method, f"{self.root}{path}", template, is_read=False, body=body, headers=headers)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=False)
        lines = answer.data
        if (
            not isinstance(lines, list)
            or len(lines) != count
            or not all(isinstance(x, dict) and isinstance(x.get("success"), bool) for x in lines)
        ):
            raise unreadable(SYSTEM, answer, is_read=False)
        return lines, answer

    def create(self, object_type: str, body: Mapping[str, Any]) -> str:
        """Makes one record and returns its id. Raises the error of any other answer."""
        answer = self._call("POST", f"{self.root}/sobjects/{object_type}", "/sobjects/{object}", is_read=False, body=body)
        id_ = answer.data.get("id") if isinstance(answer.data, dict) else None
        if answer.status != 201 or answer.was_redirected:
            raise self._error(answer, is_read=False)
        if not isinstance(id_, str):
            raise unreadable(SYSTEM, answer, is_read=False)
        return id_

    def _post(self, path: str, template: str, body: Any, *, is_read: bool, headers: Mapping[str, str] | None = None) -> Answer:
        answer = self._call("POST", path, template, is_read=is_read, body=body, headers=headers)
        if answer.status != 200 or answer.was_redirected:
            raise self._error(answer, is_read=is_read)
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
    ) -> Answer:
        """Returns the answer to one request, sent once more with a new token when its session had ended: then nothing was
        done."""
        for attempt in (1, 2):
            tokens = self._tokens.current()
            self._go_to(tokens.address)
            sent = {"Authorization": f"Bearer {tokens.access_token}", "Accept": "application/json", **(headers or {})}
            if body is not None:
                sent["Content-Type"] = "application/json"
            answer = self._http.request(method, path, template=template, is_read=is_read, params=params, json_body=body, headers=sent)
            self.first_heard_at = self.first_heard_at or answer.server_time
            self._note_usage(answer)
            if answer.was_redirected or not _is_session_over(answer):
                return answer
            if attempt == 1:
                self._tokens.renew(tokens.access_token)
        raise NeedsAttention(
            "refuses our token even after it was renewed; reconnect it",
            system=SYSTEM,
            status=401,
            code=SESSION_OVER,
            exchange=answer.exchange,
        )

    def _go_to(self, address: str) -> None:
        """Follows the organisation to the address that came with the token. Raises NeedsAttention when it must not be."""
        if not address or address.rstrip("/") == self._http.base_url:
            return
        host = _host(address)
        if not self._may_reach(host):
            raise NeedsAttention(
                f"gave us an address at {host[:60] or 'no host'}, which is on no host that connections may name", system=SYSTEM
            )
        self._http.move_to(address)

    def _note_usage(self, answer: Answer) -> None:
        """Keeps the allowance that ends first."""
        found = [(int(most), int(most) - int(used)) for used, most in _USAGE.findall(answer.headers.get("Sforce-Limit-Info", ""))]
        if found:
            limit, remaining = min(found, key=lambda pair: pair[1])
            self._http.counts.limit, self._http.counts.remaining = limit, max(0, remaining)

    def _error(self, answer: Answer, *, is_read: bool) -> ConnectorError:
        """Returns what an answer other than success means. What has no error body of Salesforce's own comes from a
        gateway or another server."""
        faults = read_faults(answer.data)
        if not faults or not 400 <= answer.status < 500 or answer.status == 408 or answer.was_redirected:
            return not_its_own(SYSTEM, answer, is_read=is_read)
        return self.judged(
            error_of(faults, status=answer.status, is_read=is_read, settings=self._settings, redact=answer.redact, exchange=answer.exchange)
        )

    def error_of_part(self, part: Part, answer: Answer) -> ConnectorError:
        """Returns what the refusal of one part of a composite call that writes means."""
        return self._error_of_part(part, answer, is_read=False)

    def _error_of_part(self, part: Part, answer: Answer, *, is_read: bool) -> ConnectorError:
        faults = read_faults(part.body)
        if not faults:
            return unreadable(SYSTEM, answer, is_read=is_read)
        return self.judged(
            error_of(faults, status=part.status, is_read=is_read, settings=self._settings, redact=answer.redact, exchange=answer.exchange)
        )

    def judged(self, error: ConnectorError) -> ConnectorError:
        """Returns the error, after holding back further calls where it asks for that."""
        if isinstance(error, RateLimited) and error.retry_after:
            self._http.hold(error.retry_after)
        return error


def query_part(path: str, soql: str, name: str) -> dict[str, Any]:
    """Returns a query as one part of a composite call, where its length does not count."""
    return {"method": "GET", "url": f"{path}?q={quote(soql, safe='')}", "referenceId": name}


def _is_session_over(answer: Answer) -> bool:
    said = answer.exchange.response_body
    return answer.status == 401 and SESSION_OVER in said and not any(text in said for text in NO_NEW_TOKEN_MENDS)


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
