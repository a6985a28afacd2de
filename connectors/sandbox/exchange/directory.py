"""What is no item and no folder: who is in the organisation, other forms of ids, time zones, the list of categories."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import ids
from connectors.sandbox.exchange.calls import Call
from connectors.sandbox.exchange.refusal import Refused, malformed_id, no_item
from connectors.sandbox.exchange.soap import attribute, boolean, child, choice, error, m, needed, success, t, text_of
from connectors.sandbox.exchange.store import CALENDAR, Store
from connectors.sandbox.exchange.values import mailbox
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.zones import WINDOWS_NAMES

MOST_CANDIDATES = 100
FORMATS = ("EwsLegacyId", "EwsId", "EntryId", "HexEntryId", "StoreId", "OwaId")
CATEGORY_LIST = "CategoryList"


class Directory:
    """The operations that no folder answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- names ----------------------------------------------------------------------------------------------------------------
    def resolve(self, call: Call) -> list[Element]:
        return [call.one(call.operation, lambda element: self._resolve(call, element))]

    def _resolve(self, call: Call, operation: Element) -> Element:
        wanted = text_of(needed(operation, "UnresolvedEntry")).strip().casefold().removeprefix("smtp:")
        full = boolean(attribute(operation, "ReturnFullContactData"), "ReturnFullContactData")
        users = [user for user in self._store.rows("user").values() if user["state"] != "gone" and wanted and _fits(user, wanted)]
        found = users[:MOST_CANDIDATES]
        if not found:
            raise Refused("ErrorNameResolutionNoResults", "No results were found.")
        told = [t("Resolution", mailbox(self._store.person(user["n"])), _contact(user) if full else None) for user in found]
        size = {"TotalItemsInView": str(len(users)), "IncludesLastItemInRange": "true" if found == users else "false"}
        message = success(call.name, m("ResolutionSet", *told, **size))
        if len(found) > 1:
            warning = error(call.name, Refused("ErrorNameResolutionMultipleResults", "Multiple results were found."), message[-1])
            warning.set("ResponseClass", "Warning")
            return warning
        return message

    # --- ids ------------------------------------------------------------------------------------------------------------------
    def convert(self, call: Call) -> list[Element]:
        target = choice(call.operation, "DestinationFormat", FORMATS)

        def one(element: Element) -> Element:
            source = choice(element, "Format", FORMATS)
            id_ = self._named(attribute(element, "Id"), source)
            if id_ is None:
                raise malformed_id()
            told = m("AlternateId", Format=target, Id=self._written(id_, target), Mailbox=attribute(element, "Mailbox"))
            told.set("{http://www.w3.org/2001/XMLSchema-instance}type", "t:AlternateIdType")
            return success(call.name, told)

        return call.each(call.listed("SourceIds"), one)

    def _named(self, text: str, source: str) -> ids.Id | None:
        """Returns what an id names, None for one that is none in its format."""
        try:
            if source == "HexEntryId":
                return ids.read_entry(self._store.key, bytes.fromhex(text))
            if source in ("EntryId", "StoreId"):
                return ids.read_entry(self._store.key, base64.b64decode(text, validate=True))
        except ValueError:
            return None
        return ids.read(self._store.key, text)

    def _written(self, id_: ids.Id, target: str) -> str:
        if target == "HexEntryId":
            return ids.entry(self._store.key, id_).hex().upper()
        if target in ("EntryId", "StoreId"):
            return base64.b64encode(ids.entry(self._store.key, id_)).decode()
        return ids.make(self._store.key, id_)

    # --- time zones -----------------------------------------------------------------------------------------------------------
    def time_zones(self, call: Call) -> list[Element]:
        """Returns the zones by name; when their clocks change is not told."""
        wanted = child(call.operation, "Ids")
        names = [text_of(each) for each in wanted] if wanted is not None else list(WINDOWS_NAMES)
        told = [t("TimeZoneDefinition", Id=name, Name=name) for name in names if name in WINDOWS_NAMES]
        return [success(call.name, m("TimeZoneDefinitions", *told))]

    # --- settings of a mailbox --------------------------------------------------------------------------------------------------
    def configuration(self, call: Call) -> list[Element]:
        return [call.one(call.operation, lambda element: self._configuration(call, element))]

    def _configuration(self, call: Call, operation: Element) -> Element:
        named = needed(operation, "UserConfigurationName")
        folder = next((each for each in named), None)
        row = call.folder(folder) if folder is not None else self._store.special(call.box()["n"], CALENDAR)
        if attribute(named, "Name") != CATEGORY_LIST or row["kind"] != CALENDAR:
            raise no_item()
        name = t("UserConfigurationName", t("FolderId", Id=self._store.folder_id(row)), Name=CATEGORY_LIST)
        data = base64.b64encode(self._category_list(row["mailbox"]).encode()).decode()
        return success(call.name, m("UserConfiguration", name, t("XmlData", text=data)))

    def _category_list(self, number: int) -> str:
        """Returns the list of a mailbox's categories as Outlook keeps it: those that its items have."""
        rows = (row for row in self._store.items.values() if row["mailbox"] == number)
        names = sorted({name for row in rows for name in row["values"].get("item:Categories", ())})
        told = "".join(f'<category name="{escape(name)}" color="-1" keyboardShortcut="0" guid="{{{_guid(name)}}}"/>' for name in names)
        return f'<?xml version="1.0"?><categories default="" xmlns="CategoryList.xsd">{told}</categories>'


def _fits(user: Mapping[str, Any], wanted: str) -> bool:
    names = [str(user[name]).casefold() for name in ("mail", "displayName", "givenName", "surname") if user.get(name)]
    return any(name.startswith(wanted) for name in names)


def _contact(user: Row) -> Element:
    own = [("DisplayName", user["displayName"]), ("GivenName", user.get("givenName"))]
    emails = t("EmailAddresses", t("Entry", text=f"SMTP:{user['mail']}", Key="EmailAddress1"))
    source = t("ContactSource", text="ActiveDirectory")
    surname = t("Surname", text=user["surname"]) if user.get("surname") else None
    return t("Contact", *(t(name, text=text) for name, text in own if text), emails, source, surname)


def _guid(name: str) -> str:
    text = name.encode().hex().ljust(32, "0")[:32]
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
