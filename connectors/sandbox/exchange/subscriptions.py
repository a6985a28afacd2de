"""Pull subscriptions: what happened to the items of folders, and to the folders in them, is kept until a client asks for it.

One act makes several events, as on a real server: a change of a calendar is also one of free and busy times, one of a message
changes what its folder says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.fields import EVENT, MESSAGE
from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.soap import boolean, child, m, name_of, needed, number, success, t, text_of
from connectors.sandbox.exchange.store import INBOX, Store
from connectors.sandbox.microsoft.sealed import sealed, unsealed
from connectors.sandbox.microsoft.table import Row

TYPES = ("CopiedEvent", "CreatedEvent", "DeletedEvent", "ModifiedEvent", "MovedEvent", "NewMailEvent", "FreeBusyChangedEvent")
LONGEST_MINUTES = 1440
MOST_AT_ONCE = 50


class Subscriptions:
    """Subscribe, GetEvents, Unsubscribe, and the watch that notes what happens."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.watchers.append(self._noted)
        store.folder_watchers.append(self._folder_noted)

    # --- what happens -----------------------------------------------------------------------------------------------------------
    def _noted(self, what: str, row: Row, old: Mapping[str, Any]) -> None:
        if not self._is_watched(row):
            return
        names = [f"{what}Event"]
        if what == "Created" and self._store.special(row["mailbox"], INBOX)["n"] == row["folder"]:
            names.append("NewMailEvent")
        if row["kind"] == EVENT:
            names.append("FreeBusyChangedEvent")
        for name in names:
            self._keep(row, name, self._store.item_id(row), row["folder"], old)
        if row["kind"] == MESSAGE and (folder := self._store.rows("folder").get(row["folder"])) is not None:
            self._folder_noted("Modified", folder, {})

    def _folder_noted(self, what: str, row: Row, old: Mapping[str, Any]) -> None:
        """Keeps what happened to a folder: who watches what it lies in, or lay in, is told."""
        if self._is_watched(row):
            place = {"item": self._store.folder_id(row), "key": self._store.change_key(row), "folder": old["parent"]} if old else {}
            self._keep(row, f"{what}Event", self._store.folder_id(row), row["parent"], place, is_folder=True)

    def _is_watched(self, row: Row) -> bool:
        return any(each["mailbox"] == row["mailbox"] for each in self._store.rows("subscription").values())

    def _keep(self, row: Row, name: str, id_: str, place: int, old: Mapping[str, Any], *, is_folder: bool = False) -> None:
        table = self._store.tables["notice"]
        told = {"what": name, "item": id_, "key": self._store.change_key(row), "folder": place, "is_folder": is_folder}
        table.put({"n": table.next_number, "mailbox": row["mailbox"], **told, "old": dict(old), "at": self._store.stamp()})

    # --- operations -------------------------------------------------------------------------------------------------------------
    def subscribe(self, call: Call) -> list[Element]:
        request = call.operation[0] if len(call.operation) else None
        if request is None or name_of(request) not in (
            "PullSubscriptionRequest",
            "PushSubscriptionRequest",
            "StreamingSubscriptionRequest",
        ):
            raise invalid("The element 'Subscribe' has incomplete content.")
        return [call.one(request, lambda element: self._subscribe(call, element))]

    def _subscribe(self, call: Call, request: Element) -> Element:
        if name_of(request) != "PullSubscriptionRequest":
            raise Refused("ErrorInvalidOperation", "Subscriptions are played where the client asks for the events.")
        types = [text_of(each).strip() for each in needed(request, "EventTypes")]
        if not types or set(types) - set(TYPES):
            raise invalid("The 'EventType' element is invalid according to its datatype.")
        minutes = number(text_of(needed(request, "Timeout")), "Timeout", least=1, most=LONGEST_MINUTES)
        folders = None
        if not boolean(request.get("SubscribeToAllFolders", "false"), "SubscribeToAllFolders"):
            folders = [call.folder(each)["n"] for each in needed(request, "FolderIds")]
        self._forget_expired()
        own = [each for each in self._store.rows("subscription").values() if each["mailbox"] == call.box()["n"]]
        if len(own) >= self._store.switches.subscriptions_most:
            raise Refused("ErrorExceededSubscriptionCount", "The mailbox has as many subscriptions as it may.")
        given = child(request, "Watermark")
        row = self._add(call.box()["n"], folders, types, minutes)
        since = self._store.tables["notice"].next_number - 1
        if given is not None and text_of(given).strip():
            since = self._read(text_of(given), row)
        return success(call.name, m("SubscriptionId", text=self._id(row)), m("Watermark", text=self._watermark(row, since)))

    def _add(self, mailbox: int, folders: list[int] | None, types: list[str], minutes: int) -> Row:
        table = self._store.tables["subscription"]
        return table.put({"n": table.next_number, "mailbox": mailbox, "folders": folders, "types": types, "minutes": minutes,
                          "asked": self._store.stamp()})  # fmt: skip

    def events(self, call: Call) -> list[Element]:
        return [call.one(call.operation, lambda element: self._events(call, element))]

    def _events(self, call: Call, operation: Element) -> Element:
        row = self._find(call, text_of(needed(operation, "SubscriptionId")))
        before = text_of(needed(operation, "Watermark"))
        since = self._read(before, row)
        self._store.tables["subscription"].put({**row, "asked": self._store.stamp()})
        found = [each for n, each in self._store.rows("notice").items() if n > since and self._concerns(row, each)]
        part = found[:MOST_AT_ONCE]
        told = [self._shown(row, each) for each in part]
        if not told:
            told = [t("StatusEvent", t("Watermark", text=self._watermark(row, self._store.tables["notice"].next_number - 1)))]
        head = t("SubscriptionId", text=self._id(row)), t("PreviousWatermark", text=before)
        more = t("MoreEvents", text=len(found) > len(part))
        return success(call.name, m("Notification", *head, more, *told))

    @staticmethod
    def _concerns(row: Row, notice: Row) -> bool:
        places = {notice["folder"], notice["old"].get("folder")}
        in_folders = row["folders"] is None or bool(places & set(row["folders"]))
        return notice["mailbox"] == row["mailbox"] and notice["what"] in row["types"] and in_folders

    def _shown(self, row: Row, notice: Row) -> Element:
        old: list[Element] = []
        kind = "FolderId" if notice.get("is_folder") else "ItemId"
        if notice["old"]:
            old = [t(f"Old{kind}", Id=notice["old"]["item"], ChangeKey=notice["old"]["key"]),
                   self._folder("OldParentFolderId", notice["old"]["folder"])]  # fmt: skip
        head = t("Watermark", text=self._watermark(row, notice["n"])), t("TimeStamp", text=notice["at"])
        item = t(kind, Id=notice["item"], ChangeKey=notice["key"])
        return t(notice["what"], *head, item, self._folder("ParentFolderId", notice["folder"]), *old)

    def _folder(self, name: str, number: int) -> Element:
        row = self._store.rows("folder").get(number)
        return t(name) if row is None else t(name, Id=self._store.folder_id(row), ChangeKey=self._store.change_key(row))

    def unsubscribe(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            row = self._find(call, text_of(needed(element, "SubscriptionId")))
            self._remove(row)
            return success(call.name)

        return [call.one(call.operation, one)]

    # --- subscriptions by their names -----------------------------------------------------------------------------------------
    def _id(self, row: Row) -> str:
        return sealed(self._store.key, "subscription", [row["n"], self._store.address_of(row["mailbox"])])

    def _find(self, call: Call, text: str) -> Row:
        found = unsealed(self._store.key, "subscription", text.strip())
        row = self._store.rows("subscription").get(found[0]) if found else None
        if row is None:
            raise Refused("ErrorSubscriptionNotFound", "Subscription not found.")
        if row["mailbox"] != call.box()["n"]:
            raise Refused("ErrorSubscriptionAccessDenied", "The subscription is another mailbox's.")
        if self._is_expired(row):
            self._remove(row)
            raise Refused("ErrorExpiredSubscription", "The subscription has expired.")
        return row

    def _is_expired(self, row: Row) -> bool:
        return self._store.now() > datetime.fromisoformat(row["asked"]) + timedelta(minutes=row["minutes"])

    def _forget_expired(self) -> None:
        for row in [each for each in self._store.rows("subscription").values() if self._is_expired(each)]:
            self._remove(row)

    def _remove(self, row: Row) -> None:
        self._store.tables["subscription"].remove(row["n"])
        if any(each["mailbox"] == row["mailbox"] for each in self._store.rows("subscription").values()):
            return
        notices = self._store.tables["notice"]
        for number_ in [n for n, each in notices.rows.items() if each["mailbox"] == row["mailbox"]]:
            notices.remove(number_)

    def _watermark(self, row: Row, number_: int) -> str:
        return sealed(self._store.key, "watermark", [self._store.epoch, row["mailbox"], number_])

    def _read(self, text: str, row: Row) -> int:
        found = unsealed(self._store.key, "watermark", text.strip())
        if found is None or found[0] != self._store.epoch or found[1] != row["mailbox"]:
            raise Refused("ErrorInvalidWatermark", "The watermark is invalid.")
        return int(found[2])
