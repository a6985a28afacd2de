"""The played Gmail in process, as an independent client sees it: no code of the connectors. Every good answer is held against
Google's own description of the API."""

from __future__ import annotations

import base64
from typing import Any

import requests

from tests.sandbox.google_account import AUTH, GINA, HUGO, Google
from tests.sandbox.google_described import GMAIL, schemas_of, validator

EVERYTHING = "https://mail.google.com/"
ROOT = "/gmail/v1/users/me"
BO = "Bo Lind <bo@acme.example>"


class GmailBox:
    """Gina's and Hugo's mail, and short words for what tests ask most."""

    def __init__(self, session: requests.Session) -> None:
        self.google = Google(session)
        self.system, self.clock = self.google.system, self.google.clock
        self.scopes = EVERYTHING

    def call(self, method: str, path: str, *, mailbox: str = GINA, scopes: str = "", **options: Any) -> requests.Response:
        """Sends a request; a good answer fits Google's description, and so does the body that was sent."""
        token = self.google.token(mailbox, scopes or self.scopes)
        whole = path if path.startswith("/gmail") else ROOT + path
        answer = self.google.raw(method, whole, headers={"Authorization": f"Bearer {token}"}, **options)
        if answer.status_code < 300:
            asked, answered = schemas_of(GMAIL, method, whole)
            if asked:
                validator(GMAIL, asked).validate(options.get("json") or {})
            assert (answer.status_code, answer.content) == (204, b"") if not answered else answer.status_code == 200
            if answered and "fields" not in (options.get("params") or {}):
                validator(GMAIL, answered).validate(answer.json())
        return answer

    def good(self, method: str, path: str, **options: Any) -> Any:
        answer = self.call(method, path, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str, *, mailbox: str = GINA, **params: Any) -> Any:
        return self.good("GET", path, mailbox=mailbox, params=params)

    def post(self, path: str, body: Any = None, *, mailbox: str = GINA, **params: Any) -> Any:
        return self.good("POST", path, mailbox=mailbox, json=body, params=params)

    def put(self, subject: str = "Hello", *, mailbox: str = GINA, **values: Any) -> dict[str, Any]:
        """Puts a message into a mailbox by hand."""
        return self.system.create_record("message", {"mailbox": mailbox, "from": BO, "subject": subject, **values})

    def ids(self, *, mailbox: str = GINA, **params: Any) -> list[str]:
        return [each["id"] for each in self.get("/messages", mailbox=mailbox, **params).get("messages", [])]

    def subjects(self, *, mailbox: str = GINA, **params: Any) -> list[str]:
        """Returns the subjects of what a list finds, the newest first."""
        return [self.subject(id_, mailbox=mailbox) for id_ in self.ids(mailbox=mailbox, **params)]

    def subject(self, id_: str, *, mailbox: str = GINA) -> str:
        message = self.get(f"/messages/{id_}", mailbox=mailbox, format="metadata", metadataHeaders="subject")
        return message["payload"]["headers"][0]["value"]

    def label(self, name: str = "CRM/Salesforce") -> str:
        return self.post("/labels", {"name": name})["id"]

    def labels_of(self, id_: str, *, mailbox: str = GINA) -> list[str]:
        return self.get(f"/messages/{id_}", mailbox=mailbox, format="minimal").get("labelIds", [])

    def modify(self, id_: str, add: list[str] | None = None, remove: list[str] | None = None) -> Any:
        return self.post(f"/messages/{id_}/modify", {"addLabelIds": add or [], "removeLabelIds": remove or []})

    def send(self, text: str, *, mailbox: str = GINA, **body: Any) -> dict[str, Any]:
        return self.post("/messages/send", {"raw": encoded(text), **body}, mailbox=mailbox)

    def cursor(self, mailbox: str = GINA) -> str:
        return self.get("/profile", mailbox=mailbox)["historyId"]

    def history(self, since: str, **params: Any) -> list[dict[str, Any]]:
        return self.get("/history", startHistoryId=since, **params).get("history", [])


def encoded(text: str | bytes) -> str:
    """Returns a mail as the API takes it; lines may end in LF."""
    raw = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(data: str) -> bytes:
    assert "=" not in data and "+" not in data and "/" not in data
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))


def mail(subject: str = "Hello", *, to: str = HUGO, body: str = "Hi", **headers: str) -> str:
    """Returns the text of a mail."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\n".join([f"To: {to}", f"Subject: {subject}", *lines, "", body, ""])


def header(message: dict[str, Any], name: str) -> str:
    return next((each["value"] for each in message["payload"]["headers"] if each["name"] == name), "")


def refused(answer: requests.Response, status: int, reason: str, says: str = "") -> dict[str, Any]:
    """Returns the error of a refusal, which has both shapes."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    error = answer.json()["error"]
    assert error["code"] == status and error["status"] and error["errors"][0]["reason"] == reason, error
    assert says in error["message"], error
    return error


__all__ = ["AUTH", "BO", "EVERYTHING", "GINA", "HUGO", "ROOT", "GmailBox", "decoded", "encoded", "header", "mail", "refused", "validator"]
