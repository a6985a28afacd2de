"""The two calls Workbooks knows: read a list, change up to a hundred rows. Judges answers as the vendor's library does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from connectors.errors import MappingError, NeedsAttention, Rejected, ServerTrouble
from connectors.http import Answer, HttpClient, not_its_own, unreadable
from connectors.workbooks.codec import SYSTEM
from connectors.workbooks.query import Pairs


class WorkbooksClient:
    """HTTP calls with an API key, without a session. The key travels in the body, never in the address."""

    def __init__(self, http: HttpClient, api_key: str) -> None:
        self._http = http
        self._api_key = api_key

    def read(self, path: str, pairs: Pairs) -> tuple[list[dict[str, Any]], Answer]:
        """Returns the rows of a list and the answer they came in. Raises Rejected when the question is refused."""
        answer = self._call(path, "GET", pairs, is_read=True)
        data = answer.data
        if not isinstance(data, dict) or data.get("success") is not True or not isinstance(data.get("data"), list):
            self._raise_for_refusal(answer)
            raise unreadable(SYSTEM, answer, is_read=True)
        if not all(isinstance(row, dict) for row in data["data"]):  # left out, it could end a sweep before its end
            raise unreadable(SYSTEM, answer, is_read=True)
        return data["data"], answer

    def log_in(self) -> dict[str, Any]:
        """Returns what a log-in with the key says of user and database. Nothing is changed, and its session is not used."""
        answer = self._call("login", "POST", [("api_version", "1"), ("_fast_login", "true")], is_read=True)
        if not isinstance(answer.data, dict) or not ("logical_database_id" in answer.data or "database_name" in answer.data):
            raise unreadable(SYSTEM, answer, is_read=True)
        return answer.data

    def change(self, path: str, pairs: Pairs) -> Answer:
        """Returns the answer to a PUT of rows; what it says of each row is for the connector to judge. Raises Rejected
        when the call as a whole was refused: nothing was done, and which row is at fault it does not say."""
        answer = self._call(path, "PUT", pairs, is_read=False)
        if not isinstance(answer.data, dict) or "success" not in answer.data:
            raise unreadable(SYSTEM, answer, is_read=False)
        return answer

    def _call(self, path: str, method: str, pairs: Pairs, *, is_read: bool) -> Answer:
        form: Sequence[tuple[str, str]] = [
            ("_method", method),
            ("client", "api"),
            ("api_key", self._api_key),
            ("_api_version", "1"),
            *pairs,
        ]
        answer = self._http.request("POST", f"/{path}.api", template=f"/{path}.api", is_read=is_read, form=form)
        if answer.status != 200:
            self._raise_for_status(answer, path, is_read=is_read)
        return answer

    def _raise_for_status(self, answer: Answer, path: str, *, is_read: bool) -> None:
        reason = _reason(answer)
        common: dict[str, Any] = {"system": SYSTEM, "status": answer.status, "code": reason, "exchange": answer.exchange}
        is_definite = 400 <= answer.status < 500 and answer.status != 408 and (is_read or not answer.was_redirected)
        if answer.status == 413 and is_definite and not is_read:  # from whoever stands before it; a part of it may fit
            raise Rejected("was sent too much at once (413)", **common)
        if answer.status == 401 and is_definite:
            raise NeedsAttention(f"refused our key ({reason or answer.status})", **common)
        if not is_definite or not isinstance(answer.data, dict):
            raise not_its_own(SYSTEM, answer, is_read=is_read)
        if answer.status == 403 and reason == "database_being_migrated":
            raise ServerTrouble("is moving this database; it will be back", **common)
        if answer.status == 403:
            raise NeedsAttention(f"refused our key ({reason or answer.status})", **common)
        if answer.status == 404:  # a list, never a record, is asked for by its path
            raise NeedsAttention(f"has nothing at {path}, or our user may not see it", **common)
        if answer.status == 406 and "unknown attribute" in answer.exchange.response_body.lower():
            raise unknown_column(answer)
        raise Rejected(f"refused the request ({answer.status} {reason})", **common)

    def _raise_for_refusal(self, answer: Answer) -> None:
        """Raises MappingError when a read was refused for its columns."""
        text = answer.exchange.response_body.lower()
        if isinstance(answer.data, dict) and answer.data.get("success") is False and "attribute" in text:
            raise unknown_column(answer)


def _reason(answer: Answer) -> str:
    data = answer.data if isinstance(answer.data, dict) else {}
    return answer.redact(str(data.get("failure_reason") or data.get("failure_message") or ""), limit=80)


def unknown_column(answer: Answer) -> MappingError:
    """Returns the error for a column that Workbooks does not have; `field` names it when the answer does."""
    text = answer.exchange.response_body
    quoted = re.search(r"unknown attribute '([^']+)'", text, re.IGNORECASE)
    name = quoted[1] if quoted else ""
    return MappingError(f"does not know the column {name or text[:200]}", system=SYSTEM, field=name, exchange=answer.exchange)
