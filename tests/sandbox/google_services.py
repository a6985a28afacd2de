"""The played Calendar and Tasks in process, as an independent client sees them: no code of the connectors. Every good answer,
and the body that was sent, is held against Google's own description of the API."""

from __future__ import annotations

from typing import Any

import requests

from tests.sandbox.google_account import AUTH, GINA, HUGO, Google
from tests.sandbox.google_described import CALENDAR, TASKS, schemas_of, validator

EVENTS = "/calendar/v3/calendars/primary/events"
OUTSIDER = "bo@acme.example"
SCOPES = {CALENDAR: f"{AUTH}calendar", TASKS: f"{AUTH}tasks"}


class Office:
    """Gina's and Hugo's calendars and tasks, and short words for what tests ask most."""

    def __init__(self, session: requests.Session) -> None:
        self.google = Google(session)
        self.system, self.clock = self.google.system, self.google.clock

    def call(self, method: str, path: str, *, mailbox: str = GINA, scopes: str = "", **options: Any) -> requests.Response:
        """Sends a request; a good answer fits Google's description, and so does the body that was sent."""
        api = CALENDAR if path.startswith("/calendar/") else TASKS
        token = self.google.token(mailbox, scopes or SCOPES[api])
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        answer = self.google.raw(method, path, headers=headers, **options)
        if answer.status_code < 300:
            asked, answered = schemas_of(api, method, path)
            if asked and isinstance(options.get("json"), dict) and method != "PATCH":
                validator(api, asked).validate(options["json"])
            assert (answer.status_code, answer.content) == (204, b"") if not answered else answer.status_code == 200
            if answered and "fields" not in (options.get("params") or {}):
                validator(api, answered).validate(answer.json())
        return answer

    def good(self, method: str, path: str, **options: Any) -> Any:
        answer = self.call(method, path, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str, *, mailbox: str = GINA, **params: Any) -> Any:
        return self.good("GET", path, mailbox=mailbox, params=params)

    def switch(self, **values: Any) -> None:
        self.system.set_switches(values)

    # --- calendar -------------------------------------------------------------------------------------------------------
    def insert(self, mailbox: str = GINA, params: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        body = {"summary": "Demo", **at("2026-11-25T10:00:00+00:00", "2026-11-25T10:30:00+00:00"), **fields}
        return self.good("POST", EVENTS, mailbox=mailbox, json=body, params=params)

    def event(self, id_: str, mailbox: str = GINA) -> dict[str, Any]:
        return self.get(f"{EVENTS}/{id_}", mailbox=mailbox)

    def patch(self, id_: str, mailbox: str = GINA, params: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        return self.good("PATCH", f"{EVENTS}/{id_}", mailbox=mailbox, json=fields, params=params)

    def delete(self, id_: str, mailbox: str = GINA, **params: str) -> None:
        self.good("DELETE", f"{EVENTS}/{id_}", mailbox=mailbox, params=params)

    def sync(self, token: str = "", *, mailbox: str = GINA, **params: Any) -> tuple[list[dict[str, Any]], str]:
        """Reads a list of events to its end. Returns them and the token of the next sync."""
        asked = {**params, **({"syncToken": token} if token else {})}
        events: list[dict[str, Any]] = []
        while True:
            page = self.get(EVENTS, mailbox=mailbox, **asked)
            events += page["items"]
            if "nextPageToken" not in page:
                return events, page.get("nextSyncToken", "")
            assert "nextSyncToken" not in page
            asked["pageToken"] = page["nextPageToken"]

    def listed(self, *, mailbox: str = GINA, **params: Any) -> list[dict[str, Any]]:
        return self.sync(mailbox=mailbox, **params)[0]

    def refused(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """Returns status and reason of a refusal in the older shape."""
        answer = self.call(method, path, **options)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code and error["message"] and "details" not in error
        return answer.status_code, error["errors"][0]["reason"]

    def mails(self) -> list[tuple[str, str, list[str]]]:
        """Returns sender, kind and receivers of the mails so far, and forgets them."""
        mails = [(mail["mailbox"], mail["kind"], mail["to"]) for mail in self.system.mails]
        self.system.mails.clear()
        return mails


def at(start: str, end: str, zone: str = "") -> dict[str, Any]:
    more = {"timeZone": zone} if zone else {}
    return {"start": {"dateTime": start, **more}, "end": {"dateTime": end, **more}}


def days(start: str, end: str) -> dict[str, Any]:
    return {"start": {"date": start}, "end": {"date": end}}


def invited(*emails: str) -> list[dict[str, Any]]:
    return [{"email": email} for email in emails]


__all__ = ["AUTH", "EVENTS", "GINA", "HUGO", "OUTSIDER", "Office", "at", "days", "invited"]
