"""exchangelib's items with the properties of ours, and how single fields of them are named in requests.

Registering a property changes exchangelib's classes for the whole process; it is done here, once, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exchangelib import CalendarItem, Contact, ExtendedProperty, Message, Task
from exchangelib.fields import FieldPath, IndexedField
from exchangelib.properties import DistinguishedFolderId, FolderId, ItemId, Mailbox
from exchangelib.util import TNS, create_element, set_xml_value
from exchangelib.version import Version

# Ours for ever: mailboxes hold it. The same as in Microsoft 365, so that a mailbox that moves there takes its links along.
FOREIGN_SET, FOREIGN_NAME = "2b6c8a54-9d0e-4f37-8c1b-5e7f0a3d9641", "CrmRecordId"


class CrmRecordId(ExtendedProperty):  # type: ignore[misc]
    """The record of the CRM that an item is linked to."""

    property_set_id = FOREIGN_SET
    property_name = FOREIGN_NAME
    property_type = "String"


class TitlePrefix(ExtendedProperty):  # type: ignore[misc]
    """What stands before a name (MAPI's PidTagDisplayNamePrefix): EWS shows it in CompleteName, which nobody can write."""

    property_tag = 0x3A45
    property_type = "String"


WELL_KNOWN = ("contacts", "deleteditems", "msgfolderroot", "calendar", "tasks", "inbox", "sentitems", "drafts", "junkemail")
FOREIGN, PREFIX = "crm_record_id", "title_prefix"
for _model in (Contact, CalendarItem, Task, Message):
    _model.register(FOREIGN, CrmRecordId)
Contact.register(PREFIX, TitlePrefix)


def path(model: Any, name: str, label: str = "", part: str = "") -> FieldPath:
    """Returns how requests name a field; of an address or telephone with its label, of a postal address with the part of it."""
    field = model.get_field_by_fieldname(name)
    if not isinstance(field, IndexedField):
        return FieldPath(field=field)
    inner = field.value_cls.get_field_by_fieldname(part) if part else field.value_cls.value_field(version=None)
    return FieldPath(field=field, label=label, subfield=inner)


def folder(id_: str, mailbox: str) -> FolderId | DistinguishedFolderId:
    """Returns how requests name a folder of a mailbox: by its id, well-known ones by name."""
    return DistinguishedFolderId(id=id_, mailbox=Mailbox(email_address=mailbox)) if id_ in WELL_KNOWN else FolderId(id=id_)


def item_ids(ids: Iterable[str]) -> list[ItemId]:
    return [ItemId(id=id_) for id_ in ids]


def set_field(model: Any, at: FieldPath, value: Any, version: Version) -> Any:
    """Returns the element that sets one field of an item, and touches no other."""
    element = create_element("t:SetItemField")
    set_xml_value(element, at, version=version)
    item = create_element(model.request_tag())
    set_xml_value(item, at.field.to_xml(value, version=version), version=version)
    element.append(item)
    return element


def delete_field(at: FieldPath, version: Version) -> Any:
    """Returns the element that blanks one field of an item."""
    return set_xml_value(create_element("t:DeleteItemField"), at, version=version)


def item_change(id_: str, change_key: str, updates: Sequence[Any], version: Version) -> Any:
    """Returns the element of one item's changes. Without a change key they rest on no version."""
    change = create_element("t:ItemChange")
    set_xml_value(change, ItemId(id=id_, changekey=change_key or None), version=version)
    element = create_element("t:Updates")
    element.extend(updates)
    change.append(element)
    return change


def tag(name: str) -> str:
    """Returns a name in the types' namespace."""
    return f"{{{TNS}}}{name}"


def text(element: Any, name: str) -> str | None:
    """Returns the text of a child, None where there is none."""
    found = element.find(tag(name))
    return None if found is None else (found.text or "")


def extended(element: Any) -> dict[str, str | None]:
    """Returns the extended properties of an item that are ours or a contact's: our name -> text."""
    held: dict[str, str | None] = {}
    for row in element.findall(tag("ExtendedProperty")):
        uri = row.find(tag("ExtendedFieldURI"))
        if uri is None:
            continue
        if str(uri.get("PropertySetId")).lower() == FOREIGN_SET and uri.get("PropertyName") == FOREIGN_NAME:
            held[FOREIGN] = text(row, "Value")
        elif _tag_of(uri.get("PropertyTag")) == TitlePrefix.property_tag:
            held[PREFIX] = text(row, "Value")
    return held


def _tag_of(said: str | None) -> int | None:
    """Returns the number of a property tag: servers write 0x3A45 and 0x3a45, some 14917."""
    try:
        return int(said, 0) if said else None
    except ValueError:
        return None


def id_of(element: Any) -> tuple[str, str]:
    """Returns id and change key of an item, "" for what is not there."""
    found = element.find(tag("ItemId"))
    return ("", "") if found is None else (found.get("Id") or "", found.get("ChangeKey") or "")


def categories(element: Any) -> tuple[str, ...]:
    found = element.find(tag("Categories"))
    return () if found is None else tuple(each.text for each in found.findall(tag("String")) if each.text)
