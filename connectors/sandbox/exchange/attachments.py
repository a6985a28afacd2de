"""Attachments of items: files, kept with the item they hang on. Items as attachments are not played."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import ids
from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.soap import attribute, boolean, child, m, name_of, needed, success, t, text_of
from connectors.sandbox.exchange.store import Store
from connectors.sandbox.microsoft.table import Row


def no_attachment() -> Refused:
    return Refused("ErrorItemNotFound", "The specified attachment was not found.")


class Attachments:
    """What hangs on items, and the operations about it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._of: dict[int, list[int]] = {}
        store.removing.append(self._removed)

    def reindex(self) -> None:
        self._of = {}
        for row in sorted(self._store.rows("attachment").values(), key=lambda each: int(each["n"])):
            self._of.setdefault(row["item"], []).append(row["n"])

    def of(self, item: int) -> list[Row]:
        return [self._store.rows("attachment")[number] for number in self._of.get(item, ())]

    def add(self, item: Row, given: dict[str, Any]) -> Row:
        table = self._store.tables["attachment"]
        size = len(base64.b64decode(given["content"]))
        row = table.put({"n": table.next_number, "mailbox": item["mailbox"], "item": item["n"], "size": size,
                         "at": self._store.stamp(), **given})  # fmt: skip
        self._of.setdefault(item["n"], []).append(row["n"])
        return row

    def remove(self, row: Row) -> None:
        self._store.tables["attachment"].remove(row["n"])
        self._of[row["item"]].remove(row["n"])

    def copy(self, source: Row, target: Row) -> None:
        """Hangs the files of one item on another."""
        for each in self.of(source["n"]):
            self.add(target, {name: each[name] for name in ("name", "contentType", "content", "isInline", "contentId")})

    def _removed(self, item: Row) -> None:
        for row in self.of(item["n"]):
            self.remove(row)

    # --- showing ----------------------------------------------------------------------------------------------------------
    def shown(self, item: Row) -> Element | None:
        """Returns the list of an item's attachments, without what is in them; None for an item without."""
        own = self.of(item["n"])
        return t("Attachments", *(self._shown(each) for each in own)) if own else None

    def _shown(self, row: Row, *, has_content: bool = False) -> Element:
        contents = t("Content", text=row["content"]) if has_content else None
        return t("FileAttachment", self.id_element(row), t("Name", text=row["name"]), t("ContentType", text=row["contentType"]),
                 t("ContentId", text=row["contentId"]) if row["contentId"] else None, t("Size", text=row["size"]),
                 t("LastModifiedTime", text=row["at"]), t("IsInline", text=row["isInline"]), t("IsContactPhoto", text=False),
                 contents)  # fmt: skip

    def id_element(self, row: Row, *, has_root: bool = False) -> Element:
        own = ids.make(self._store.key, ids.Id(ids.ATTACHMENT, row["mailbox"], row["n"]))
        if not has_root:
            return t("AttachmentId", Id=own)
        item = self._store.items[row["item"]]
        return t("AttachmentId", Id=own, RootItemId=self._store.item_id(item), RootItemChangeKey=self._store.change_key(item))

    # --- operations -------------------------------------------------------------------------------------------------------
    def get(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            return success(call.name, m("Attachments", self._shown(self._find(call, element), has_content=True)))

        return call.each(call.listed("AttachmentIds"), one)

    def create(self, call: Call) -> list[Element]:
        parent = needed(call.operation, "ParentItemId")

        def one(element: Element) -> Element:
            item = call.store.find_item(call.box()["n"], attribute(parent, "Id"))[0]
            row = self.add(item, read_file(element))
            call.store.change(item)
            shown = t("FileAttachment", self.id_element(row, has_root=True))
            return success(call.name, m("Attachments", shown))

        return call.each(call.listed("Attachments"), one)

    def delete(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            row = self._find(call, element)
            self.remove(row)
            item = call.store.change(call.store.items[row["item"]])
            root = m("RootItemId", RootItemId=call.store.item_id(item), RootItemChangeKey=call.store.change_key(item))
            return success(call.name, root)

        return call.each(call.listed("AttachmentIds"), one)

    def _find(self, call: Call, element: Element) -> Row:
        if name_of(element) != "AttachmentId":
            raise invalid(f"The element 'AttachmentIds' has invalid child element '{name_of(element)[:80]}'.")
        found = ids.read(self._store.key, attribute(element, "Id"))
        if found is None or found.kind != ids.ATTACHMENT:
            raise Refused("ErrorInvalidAttachmentId", "The attachment Id is invalid.")
        row = self._store.rows("attachment").get(found.number)
        if row is None or (call.mailbox is not None and row["mailbox"] != call.mailbox["n"]):
            raise no_attachment()
        return row


def read_file(element: Element) -> dict[str, Any]:
    """Returns what a FileAttachment element holds. Raises Faulted, and Refused for an attached item."""
    if name_of(element) == "ItemAttachment":
        raise Refused("ErrorInvalidOperation", "Items as attachments are not played.")
    if name_of(element) != "FileAttachment":
        raise invalid(f"The element 'Attachments' has invalid child element '{name_of(element)[:80]}'.")
    content = "".join(text_of(child(element, "Content")).split())
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("The 'Content' element is invalid according to its datatype 'base64Binary'.") from None
    return {
        "name": text_of(needed(element, "Name")),
        "content": content,
        "contentType": text_of(child(element, "ContentType")) or "application/octet-stream",
        "contentId": text_of(child(element, "ContentId")) or None,
        "isInline": boolean(text_of(child(element, "IsInline")) or "false", "IsInline"),
    }
