"""The calls that tell what changed: the profile with the present cursor, the history behind one, and push, which is only promised."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from connectors.sandbox.google import mime
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.gmail_calls import MailMethod, page_place, page_token, size_of_page
from connectors.sandbox.google.gmail_schema import READS_METADATA, TYPES
from connectors.sandbox.google.gmail_store import ADDED, DELETED, LABELED, UNLABELED, MailStore
from connectors.sandbox.google.gmail_tables import History, thread_of
from connectors.sandbox.google.refusal import invalid, not_found
from connectors.sandbox.google.service_account import PROJECT
from connectors.sandbox.google.table import Row
from connectors.sandbox.wire import read_id

# The word of a change in the query, and its key in a record.
KEYS = {ADDED: "messagesAdded", DELETED: "messagesDeleted", LABELED: "labelsAdded", UNLABELED: "labelsRemoved"}
WATCH_SECONDS = 7 * 86400
_TOPIC = re.compile(r"projects/[a-z0-9-]+/topics/[A-Za-z][\w.~+%-]{2,254}")


class Changes:
    """What the calls about changes of a mailbox answer."""

    def __init__(self, mail: MailStore) -> None:
        self._mail = mail

    def method(self, call: Call) -> MailMethod | None:
        """Returns the method of a call; None where there is none."""
        return {
            "GET profile": MailMethod(self._profile, READS_METADATA, 1),
            "GET history": MailMethod(self._list, READS_METADATA, 2),
            "POST watch": MailMethod(self._watch, READS_METADATA, 100),
            "POST stop": MailMethod(self._stop, READS_METADATA, 50),
        }.get(f"{call.method} {'/'.join(call.parts)}")

    def _profile(self, call: Call) -> dict[str, Any]:
        call.allow()
        rows = self._mail.messages.box(call.mailbox)
        told = {"emailAddress": call.mailbox, "messagesTotal": len(rows), "threadsTotal": len(set(map(thread_of, rows)))}
        return {**told, "historyId": str(self._mail.history_id(call.mailbox))}

    # --- history --------------------------------------------------------------------------------------------------------
    def _list(self, call: Call) -> dict[str, Any]:
        call.allow("startHistoryId", "historyTypes", "labelId", "maxResults", "pageToken")
        size, place = size_of_page(call), page_place(call, 1)
        kinds, label = call.listed("historyTypes", tuple(KEYS)), call.text("labelId")
        if label:
            self._mail.check_label(call.mailbox, label)
        since = self._since(call)
        changes = self._mail.history.after(call.mailbox, since if place is None else place[0])
        rows = list(islice((row for row in changes if _is_wanted(row, kinds, label)), size + 1))
        told: dict[str, Any] = {"history": [_record(row) for row in rows[:size]]} if rows else {}
        if len(rows) > size:
            told["nextPageToken"] = page_token(call, (rows[size - 1]["id"],))
        return {**told, "historyId": str(self._mail.history_id(call.mailbox))}

    def _since(self, call: Call) -> int:
        """Returns the change behind which a call asks. Raises Refused; a cursor that is too old, or of the future, is not found."""
        text, mail = call.text("startHistoryId"), self._mail
        since = read_id(text)
        if not text:
            raise invalid("Missing required parameter: startHistoryId")
        if since is None:
            raise invalid(f"Invalid value at 'start_history_id' (TYPE_UINT64), \"{text[:80]}\"")
        mail.forget_old_history(call.mailbox)
        first = next(mail.history.after(call.mailbox, 0), None)
        is_too_old = first is not None and first["kind"] == History.EXPIRED and since < first["id"]
        if is_too_old or not 0 < since <= mail.store.sequence:
            raise not_found()
        return since

    # --- push -----------------------------------------------------------------------------------------------------------
    def _watch(self, call: Call) -> dict[str, Any]:
        """Promises notifications; none is delivered here, as clients that poll too must stand."""
        call.allow()
        body, mail = call.json("WatchRequest", "", TYPES), self._mail
        topic = body.get("topicName", "")
        if not _TOPIC.fullmatch(topic):
            raise invalid(f"Invalid topicName does not match projects/{PROJECT}/topics/*")
        for id_ in body.get("labelIds", []):
            mail.check_label(call.mailbox, id_)
        now, present = mail.store.now().timestamp(), self._present(call.mailbox)
        if present is not None and present["topic"] != topic and present["ends_at"] > now:
            raise invalid("Only one user push notification client allowed per developer (call /stop then try again)")
        user = mail.store.user(call.mailbox)
        number = present["id"] if present else user["id"] if user else 0
        mail.store.put(mail.watches, {"id": number, "mailbox": call.mailbox, "topic": topic, "ends_at": now + WATCH_SECONDS})
        return {"historyId": str(mail.history_id(call.mailbox)), "expiration": str(int(now + WATCH_SECONDS) * 1000)}

    def _stop(self, call: Call) -> None:
        call.allow()
        present = self._present(call.mailbox)
        if present is not None:
            self._mail.store.delete(self._mail.watches, present)

    def _present(self, mailbox: str) -> Row | None:
        return next(iter(self._mail.watches.box(mailbox)), None)


def _is_wanted(row: Row, kinds: list[str], label: str) -> bool:
    if row["kind"] == History.EXPIRED or (kinds and row["kind"] not in kinds):
        return False
    # A label that was just taken away counts: who follows it must be told.
    return not label or label in row["labels"] or label in row.get("changed", ())


def _record(row: Row) -> dict[str, Any]:
    thread = row["thread"] if "thread" in row else row["message"]
    ids = {"id": mime.id_of(row["message"]), "threadId": mime.id_of(thread)}
    change: dict[str, Any] = {"message": {**ids, "labelIds": row["labels"]} if row["labels"] else ids}
    if "changed" in row:
        change["labelIds"] = row["changed"]
    return {"id": str(row["id"]), "messages": [ids], KEYS[row["kind"]]: [change]}
