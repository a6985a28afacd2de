"""The calls under `threads`: conversations as lists of their messages."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.google import mime
from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.gmail_calls import MailMethod, changed_labels, page_place, page_token, sees_metadata_only, size_of_page
from connectors.sandbox.google.gmail_reading import Reading, bare, estimate
from connectors.sandbox.google.gmail_schema import DELETES, INBOX, MODIFIES, READS_METADATA, TRASH, TYPES
from connectors.sandbox.google.gmail_store import MailStore
from connectors.sandbox.google.gmail_tables import place_of, thread_of
from connectors.sandbox.google.table import Row

FORMATS = ("minimal", "full", "metadata")


class Threads:
    """What the calls of threads answer."""

    def __init__(self, mail: MailStore, reading: Reading) -> None:
        self._mail, self._reading = mail, reading

    def method(self, call: Call) -> MailMethod | None:
        """Returns the method of a call; None where there is none."""
        parts, verb = call.parts, call.method
        if len(parts) == 1:
            return MailMethod(self._list, READS_METADATA, 10) if verb == "GET" else None
        if len(parts) == 2:
            return {"GET": MailMethod(self._get, READS_METADATA, 40), "DELETE": MailMethod(self._delete, DELETES, 20)}.get(verb)
        if len(parts) != 3 or verb != "POST":
            return None
        return {
            "modify": MailMethod(self._modify, MODIFIES, 10),
            "trash": MailMethod(self._trash, MODIFIES, 10),
            "untrash": MailMethod(self._untrash, MODIFIES, 10),
        }.get(parts[2])

    def _list(self, call: Call) -> dict[str, Any]:
        call.allow("labelIds", "q", "maxResults", "includeSpamTrash", "pageToken")
        size, place = size_of_page(call), page_place(call, 2)
        # A thread stands where its newest message of this search does; the older ones are passed over.
        seen: set[int] = set()
        newest: list[Row] = []
        for row in self._reading.found(call):
            if thread_of(row) in seen:
                continue
            seen.add(thread_of(row))
            if place is None or place_of(row) < place:
                newest.append(row)
            if len(newest) > size:
                break
        page, has_more = newest[:size], len(newest) > size
        told: dict[str, Any] = {"threads": [self._listed(call, row) for row in page]} if page else {}
        if has_more:
            told["nextPageToken"] = page_token(call, place_of(page[-1]))
        return {**told, "resultSizeEstimate": estimate(len(page), is_all=place is None and not has_more)}

    def _listed(self, call: Call, row: Row) -> dict[str, Any]:
        rows = self._mail.messages.thread(thread_of(row))
        told = {"id": mime.id_of(thread_of(row)), "historyId": str(max(each["seq"] for each in rows))}
        return told if sees_metadata_only(call, self._mail.store.switches) else {**told, "snippet": mime.snippet(rows[-1])}

    def _get(self, call: Call) -> dict[str, Any]:
        call.allow("format", "metadataHeaders")
        format_ = self._reading.format_of(call, FORMATS)
        rows = self._rows(call)
        told = {"id": mime.id_of(thread_of(rows[0])), "historyId": str(max(row["seq"] for row in rows))}
        return {**told, "messages": [self._reading.shown(call, row, format_) for row in rows]}

    def _modify(self, call: Call) -> dict[str, Any]:
        call.allow()
        add, remove = changed_labels(call.json("ModifyThreadRequest", "", TYPES))
        rows = self._rows(call)
        self._mail.check_change(call.mailbox, add=add, remove=remove)
        return self._relabeled(rows, add=add, remove=remove)

    def _trash(self, call: Call) -> dict[str, Any]:
        call.allow()
        return self._relabeled(self._rows(call), add=[TRASH], remove=[INBOX])

    def _untrash(self, call: Call) -> dict[str, Any]:
        call.allow()
        return self._relabeled(self._rows(call), add=[], remove=[TRASH])

    def _delete(self, call: Call) -> None:
        call.allow()
        for row in self._rows(call):
            self._mail.delete(row)

    def _rows(self, call: Call) -> list[Row]:
        return self._mail.thread(call.mailbox, call.parts[1])

    def _relabeled(self, rows: list[Row], *, add: list[str], remove: list[str]) -> dict[str, Any]:
        messages = [bare(self._mail.relabel(row, add=add, remove=remove)) for row in rows]
        return {"id": mime.id_of(thread_of(rows[0])), "messages": messages}
