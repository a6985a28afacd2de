"""Subscriptions to change notifications: made after a handshake with their addresses, renewed, removed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.microsoft import contacts, courier, ids, messages, todo
from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.calls import Answer, Call, Errand
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.notices import CHANGE_TYPES, LIFECYCLE, Notices
from connectors.sandbox.microsoft.query import page
from connectors.sandbox.microsoft.refusal import Refused, bad_request, no_item, no_segment
from connectors.sandbox.microsoft.store import CONTACTS, Store
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.todo_store import TodoStore
from connectors.sandbox.microsoft.users import Users

LEAST_MINUTES, MOST_MINUTES, MOST_MINUTES_OF_TASKS = 45, 10_080, 4_230
MOST_STATE, MOST_A_MAILBOX = 128, 1000
NEEDED, MORE = ("changeType", "notificationUrl", "resource", "expirationDateTime"), ("lifecycleNotificationUrl", "clientState",
                                                                                     "latestSupportedTlsVersion")  # fmt: skip
TLS = ("v1_0", "v1_1", "v1_2", "v1_3")
NOT_PLAYED = ("applicationId", "creatorId", "encryptionCertificate", "encryptionCertificateId", "includeResourceData",
              "notificationQueryOptions", "notificationUrlAppId")  # fmt: skip
PERMISSIONS = {
    "contact": contacts.READ, "message": messages.READ, "event": ("Calendars.Read", "Calendars.ReadWrite"), "task": todo.READ,
}  # fmt: skip

# What of a mailbox can be subscribed to, and the table whose rows it is; a star stands for the id of a folder or list.
FORMS = {
    ("contacts",): "contact",
    ("contactfolders", "*", "contacts"): "contact",
    ("messages",): "message",
    ("mailfolders", "*", "messages"): "message",
    ("events",): "event",
    ("todo", "lists", "*", "tasks"): "task",
}


class Subscriptions:
    """What `/subscriptions` answers."""

    def __init__(
        self, store: Store, users: Users, *, mail: MailStore, todo_store: TodoStore, notices: Notices, app: str, now: Callable[[], datetime]
    ) -> None:
        self._store, self._users, self._mail, self._todo, self._notices = store, users, mail, todo_store, notices
        self._app, self._now = app, now

    def answer(self, call: Call, rest: list[str]) -> Answer:
        self._notices.expire()
        if not rest:
            call.allow("GET", "POST")
            return self._list(call) if call.reads else self._create(call)
        row = next((each for each in self._own(call) if each["id"] == rest[0].lower()), None)
        if row is None:
            raise Refused(404, "ResourceNotFound", "The object was not found.")
        if rest[1:] == ["reauthorize"]:
            call.allow("POST")
            call.need(*PERMISSIONS[row["table"]])
            return Answer(204)
        if rest[1:]:
            raise no_segment(rest[1])
        call.allow("GET", "PATCH", "DELETE")
        if call.method == "DELETE":
            self._notices.remove(row)
            return Answer(204)
        return self._one(call, 200, row) if call.reads else self._renew(call, row)

    def _own(self, call: Call) -> list[Row]:
        """Returns the subscriptions of the app, of a person who signed in the own ones."""
        return [row for row in self._notices.rows.values() if row["user"] == call.user]

    def _list(self, call: Call) -> Answer:
        return page(call, self._own(call), self._shown, context="subscriptions", size=100)

    def _one(self, call: Call, status: int, row: Row) -> Answer:
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#subscriptions/$entity", **self._shown(row)})

    def _shown(self, row: Row) -> dict[str, Any]:
        user = self._store.users.get(row["user"])
        return {
            "id": row["id"],
            "resource": row["resource"],
            "applicationId": self._app,
            "changeType": ",".join(row["changeTypes"]),
            "clientState": row["clientState"],
            "notificationUrl": row["notificationUrl"],
            "lifecycleNotificationUrl": row["lifecycleNotificationUrl"],
            "expirationDateTime": f"{datetime.fromtimestamp(row['expires'], UTC):%Y-%m-%dT%H:%M:%SZ}",
            "creatorId": user["id"] if user else self._app,
            "latestSupportedTlsVersion": row["tls"],
            **dict.fromkeys((*NOT_PLAYED[2:4], *NOT_PLAYED[4:])),
        }

    # --- making one ---------------------------------------------------------------------------------------------------------
    def _create(self, call: Call) -> Answer:
        row = self._read(call)
        self._check_single(row)
        urls = [url for url in (row["notificationUrl"], row["lifecycleNotificationUrl"]) if url is not None]

        def made(failure: str | None) -> Answer:
            if failure is not None:
                raise _not_valid(failure)
            self._check_single(row)  # another one may have been made while the addresses were asked
            return self._one(call, 201, self._notices.add(row))

        return Answer(201, errand=self._errand(urls, made))

    def _errand(self, urls: list[str], then: Callable[[str | None], Answer]) -> Errand:
        request = ids.guid(self._store.key, "validation", self._store.next_sequence())
        token = f"Validation: Testing client application reachability for subscription Request-Id: {request}"
        return Errand(lambda: next((told for url in urls if (told := courier.handshake(url, token)) is not None), None), then)

    def _read(self, call: Call) -> Row:
        """Returns the row of a new subscription. Raises Refused for what cannot be one."""
        given = self._given(call)
        if missing := [name for name in NEEDED if not given.get(name)]:
            raise bad_request(f"The property '{missing[0]}' is required.", "InvalidRequest")
        resource = read.text("resource", given["resource"]) or ""
        table, mailbox, place = self._target(call, resource)
        state = read.text("clientState", given.get("clientState"))
        if state is not None and len(state) > MOST_STATE:
            raise bad_request(f"The clientState exceeds the maximum length of {MOST_STATE}.", "InvalidRequest")
        life = given.get("lifecycleNotificationUrl")
        return {
            "id": ids.guid(self._store.key, "subscription", self._store.tables["subscription"].next_number),
            "mailbox": mailbox["n"],
            "user": call.user,
            "table": table,
            "place": place,
            "resource": resource,
            "changeTypes": _change_types(given["changeType"]),
            "notificationUrl": _url("notificationUrl", given["notificationUrl"]),
            "lifecycleNotificationUrl": None if life is None else _url("lifecycleNotificationUrl", life),
            "expires": self._expiry(given["expirationDateTime"], table),
            "clientState": state,
            "immutable": call.is_immutable,
            "tls": read.one_of("latestSupportedTlsVersion", given.get("latestSupportedTlsVersion") or "v1_2", TLS, "String"),
        }

    def _given(self, call: Call) -> dict[str, Any]:
        given = read.without_annotations(call.object())
        if unknown := [name for name in given if name not in (*NEEDED, *MORE, *NOT_PLAYED)]:
            raise read.unknown(unknown[0], "subscription")
        if refused := [name for name in NOT_PLAYED if given.get(name)]:
            raise bad_request(f"The property '{refused[0]}' is not supported for this resource.", "InvalidRequest")
        return given

    def _target(self, call: Call, resource: str) -> tuple[str, Row, int | None]:
        """Returns what a resource names: the table, the mailbox, and the folder or list within. Raises Refused."""
        path = re.sub(r"^\w+", lambda word: word[0].lower(), resource.lstrip("/"))
        named = Call("GET", f"/{path}", "", call.headers, b"", call.base_url, call.permissions, call.user)
        parts = named.parts
        own = parts[1:] if parts[:1] == ["me"] else parts[2:]
        form = next((form for form in FORMS if _fits(form, own)), None)
        if parts[:1] not in (["users"], ["me"]) or "?" in resource or form is None:
            raise _no_resource(resource)
        table = FORMS[form]
        call.need(*PERMISSIONS[table])
        mailbox = self._users.mailbox(named, "me" if parts[0] == "me" else parts[1])
        call.note.mailbox = named.note.mailbox
        if "*" not in form:
            return table, mailbox, None
        find = {"contact": self._contact_folder, "message": self._mail.find_folder, "task": self._todo.find_list}[table]
        return table, mailbox, find(mailbox, own[form.index("*")])["n"]

    def _contact_folder(self, mailbox: Row, text: str) -> Row:
        if text.lower() == "contacts":
            return self._store.special(mailbox["n"], CONTACTS)
        row = self._store.folder_by_id(text)
        if row is None or row["mailbox"] != mailbox["n"] or not self._store.is_seen(row):
            raise no_item()
        return row

    def _check_single(self, row: Row) -> None:
        """Raises Refused where the app has this subscription already, or the mailbox has all that it may have."""
        same = ("user", "table", "mailbox", "place", "changeTypes")
        others = [each for each in self._notices.rows.values() if each["mailbox"] == row["mailbox"]]
        for each in others:
            if all(each[name] == row[name] for name in same):
                raise Refused(409, "Conflict", f"Subscription Id: {each['id']} already exists for the requested combination.")
        if len(others) >= MOST_A_MAILBOX:
            raise Refused(403, "ExtensionError", f"The mailbox has reached its limit of {MOST_A_MAILBOX} subscriptions.")

    def _expiry(self, value: Any, table: str) -> float:
        """Returns when a subscription ends; what would be too soon is put off. Raises Refused for the past, and for too late."""
        wanted = datetime.fromisoformat(read.instant("expirationDateTime", value)).timestamp()
        now = self._now().timestamp()
        most = MOST_MINUTES_OF_TASKS if table == "task" else MOST_MINUTES
        if wanted <= now:
            raise bad_request("The expirationDateTime must lie in the future.", "ExtensionError")
        if wanted > now + most * 60:
            raise bad_request(f"Subscription expiration can only be {most} minutes in the future.", "ExtensionError")
        return max(wanted, float(int(now) + LEAST_MINUTES * 60))

    # --- afterwards -----------------------------------------------------------------------------------------------------------
    def _renew(self, call: Call, row: Row) -> Answer:
        given = read.without_annotations(call.object())
        if set(given) != {"expirationDateTime"}:
            raise bad_request("Only the expirationDateTime of a subscription can be changed.", "InvalidRequest")
        call.need(*PERMISSIONS[row["table"]])
        expires = self._expiry(given["expirationDateTime"], row["table"])

        def renewed(failure: str | None) -> Answer:
            if failure is not None:
                raise _not_valid(failure)
            return self._one(call, 200, self._store.tables["subscription"].put({**row, "expires": expires}))

        if not self._store.switches.renewal_validates:
            return renewed(None)
        return Answer(200, errand=self._errand([row["notificationUrl"]], renewed))

    def lifecycle(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Tells one subscription, or all, of an event of its life. Returns how many were told. Raises ValueError."""
        event, id_ = given.get("event"), given.get("subscription")
        rows = [row for row in self._notices.rows.values() if id_ in (None, row["id"])]
        if event not in LIFECYCLE or set(given) - {"event", "subscription"}:
            raise ValueError(f"event is one of {', '.join(LIFECYCLE)}, subscription the id of one, or left out for all")
        if id_ is not None and not rows:
            raise ValueError(f"there is no subscription {str(id_)[:80]!r}")
        return {"sent": sum(self._notices.lifecycle(event, row) for row in rows)}


def _fits(form: Sequence[str], parts: Sequence[str]) -> bool:
    return len(form) == len(parts) and all(word in ("*", part.lower()) for word, part in zip(form, parts, strict=True))


def _change_types(value: Any) -> list[str]:
    words = [word.strip().lower() for word in (read.text("changeType", value) or "").split(",")]
    if not words or not set(words) <= set(CHANGE_TYPES):
        raise bad_request(f"The changeType '{str(value)[:80]}' is not supported; it holds {', '.join(CHANGE_TYPES)}.", "InvalidRequest")
    return [each for each in CHANGE_TYPES if each in words]


def _url(name: str, value: Any) -> str:
    url = read.text(name, value) or ""
    if not courier.is_reachable_form(url):
        raise bad_request(f"The {name} must be an https address.", "InvalidRequest")
    return url


def _no_resource(resource: str) -> Refused:
    return bad_request(f"Resource '{resource[:120]}' is not supported for subscriptions.", "InvalidRequest")


def _not_valid(sentence: str) -> Refused:
    return bad_request(sentence, "ValidationError")
