"""Outreach over HTTP: bearer token with one renewal after a 401, JSON:API bodies, errors by class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from connectors.errors import ConnectorError, MappingError, NeedsAttention, RecordGone, Rejected, TakenForDuplicate
from connectors.http import Answer, HttpClient, not_its_own, unreadable
from connectors.oauth import TokenSource
from connectors.outreach.codec import SYSTEM

MEDIA_TYPE = "application/vnd.api+json"
GONE = "resourceNotFound"
TAKEN = "validationDuplicateValueError"
UNKNOWN_NAME = ("permittedParams.unknownAttribute", "fieldsParameter.unknownResourceField")


class OutreachClient:
    """Calls below `/api/v2`."""

    def __init__(self, http: HttpClient, tokens: TokenSource) -> None:
        self._http = http
        self._tokens = tokens

    def get(self, path: str, params: Sequence[tuple[str, str]] = (), *, template: str, unrepeated: Sequence[int] = ()) -> Answer:
        """Returns the answer to a read; its `data` is a JSON object. Raises the error of any other answer."""
        answer = self._call("GET", path, template, params=params, unrepeated=unrepeated)
        if answer.status != 200:
            raise error_of(answer)
        if not isinstance(answer.data, dict):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer

    def send(self, method: str, path: str, document: dict[str, Any] | None, *, template: str) -> Answer:
        """Returns the answer to one write that went through. Raises the error of any other answer."""
        answer = self._call(method, path, template, document=document)
        if answer.was_redirected:
            raise unreadable(SYSTEM, answer, is_read=False)
        if answer.status == 204 and method == "DELETE":
            return answer
        if answer.status not in (200, 201):
            raise error_of(answer)
        if not isinstance(answer.data, dict) or not isinstance(answer.data.get("data"), dict):
            raise unreadable(SYSTEM, answer, is_read=False)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        template: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        document: dict[str, Any] | None = None,
        unrepeated: Sequence[int] = (),
    ) -> Answer:
        token = self._tokens.token()
        for attempt in (1, 2):
            headers = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
            answer = self._http.request(
                method,
                path,
                template=template,
                is_read=method == "GET",
                params=params,
                json_body=document,
                headers=headers,
                unrepeated=unrepeated,
            )
            if answer.status != 401 or answer.was_redirected:
                return answer
            if attempt == 1:
                token = self._tokens.renew(token)  # a 401 comes from the gateway: nothing was done
        raise NeedsAttention(
            "refuses our token even after it was renewed; reconnect it", system=SYSTEM, status=401, exchange=answer.exchange
        )


def error_of(answer: Answer) -> ConnectorError:
    """Returns what an answer other than success means (reference section 7). A write that Outreach itself refused (4xx
    with `errors`) was not done; whatever has none comes from a gateway or another server, and blames no record."""
    errors = answer.data.get("errors") if isinstance(answer.data, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else None
    is_read = answer.exchange.method == "GET"
    if first is None or not 400 <= answer.status < 500 or answer.status == 408 or answer.was_redirected:
        return not_its_own(SYSTEM, answer, is_read=is_read)
    code = str(first.get("id") or "")
    detail = answer.redact(str(first.get("detail") or first.get("details") or first.get("title") or f"status {answer.status}"), limit=300)
    field = _field(first, code, detail)
    common: dict[str, Any] = {"system": SYSTEM, "status": answer.status, "code": code, "field": field, "exchange": answer.exchange}
    if answer.status == 404 and code != GONE:
        return not_its_own(SYSTEM, answer, is_read=is_read)
    if answer.status == 404 and not field and answer.exchange.method != "POST":  # else it is what the record points to
        return RecordGone(detail, **common)
    if answer.status == 403 and code == "unauthorizedOauthScope":
        return NeedsAttention(f"our access lacks a right: {detail}", **common)
    if answer.status == 400 and code in UNKNOWN_NAME:
        return MappingError(detail, **common)
    if answer.status == 422 and (code == TAKEN or "already been taken" in detail):
        return TakenForDuplicate(detail, **common)
    return Rejected(detail, **common)


def _field(error: dict[str, Any], code: str, detail: str) -> str:
    """Returns the attribute or relationship that an error is about, "" when it names none."""
    source = error.get("source")
    pointer = str(source.get("pointer") or "") if isinstance(source, dict) else ""
    if "/attributes/" in pointer or "/relationships/" in pointer:
        return pointer.rsplit("/", 1)[-1]
    quoted = re.search(r"'([\w.]+)'", detail) if code in UNKNOWN_NAME else None  # answers to reads name it in words only
    return quoted[1] if quoted else ""
