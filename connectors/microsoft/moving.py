"""Brings a contact from elsewhere in the mailbox into our folder: a copy, compared, and then the original to the bin.

Microsoft has no way to move a contact (reference section 3.3). Each step looks first at what earlier ones left behind, so
a call that was interrupted is simply made again. A photo and what other programs stored in properties of their own cannot
be copied; they stay with the original in the bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import Record
from connectors.errors import RecordGone, Rejected, StaleVersion
from connectors.http import unreadable
from connectors.mailboxes import BIN, FOREIGN_ID
from connectors.microsoft import codec
from connectors.microsoft.client import GraphClient, segment
from connectors.microsoft.faults import folder_gone
from connectors.microsoft.places import Places
from connectors.microsoft.reading import CONTACT_TEMPLATE, FOLDER_TEMPLATE, Reader
from connectors.microsoft.settings import SYSTEM
from connectors.text import read_instant

Row = dict[str, Any]

_NAMES = """
    displayName givenName middleName surname title generation initials nickName fileAs companyName department jobTitle profession
    officeLocation manager assistantName spouseName businessHomePage mobilePhone personalNotes yomiGivenName yomiSurname yomiCompanyName
    birthday
"""
_TEXTS = tuple(_NAMES.split())
_LISTS = ("businessPhones", "homePhones", "imAddresses", "children")
_ADDRESSES = ("businessAddress", "homeAddress", "otherAddress")
WRITABLE = (*_TEXTS, *_LISTS, *_ADDRESSES, codec.EMAILS, "categories")


class Mover:
    """Moves of one mailbox."""

    def __init__(self, client: GraphClient, reader: Reader, places: Places, tries: int) -> None:
        self._client = client
        self._reader = reader
        self._places = places
        self._tries = tries

    def bring_in(self, id_: str, marker: str, category: str) -> Record:
        """Returns the contact as it lies in our folder. Raises RecordGone when neither it nor a copy of it is there,
        Rejected when the copy does not hold the same, StaleVersion when it is being edited again and again."""
        for _ in range(self._tries):
            original, copy = self._look(id_, marker)
            if original is not None and self._reader.is_ours(original):
                found = self._adopted(original, marker, category)
            elif original is None:
                if copy is None:
                    raise RecordGone("the contact is not there any more", system=SYSTEM, code="ErrorItemNotFound")
                found = copy
            else:
                found = self._copied(original, copy, marker, category)
                if found is not None and not self._discarded(original):
                    found = None
            if found is not None:
                return self._reader.record(found)
        raise StaleVersion("the contact was changed again and again while it was moved", system=SYSTEM)

    def _look(self, id_: str, marker: str) -> tuple[Row | None, Row | None]:
        """Returns the original, None when it is gone or in the bin, and the copy that an earlier call made."""
        searches = self._reader.searches(marker)[-1:]  # in our folder
        first, *others = self._client.read_all([self._reader.part(id_), *searches])
        original = self._reader.row_of(first, WRITABLE)
        copies = [row for reply in others for row in self._reader.listed(reply, WRITABLE)]
        copies = [row for row in copies if codec.id_of(row) != id_ and self._reader.is_ours(row)]
        copies = [row for row in copies if codec.read_contact(row).fields.get(FOREIGN_ID) == marker]
        if original is not None and self._places.of(original["parentFolderId"]) == BIN:
            original = None
        return original, copies[0] if copies else None

    def _adopted(self, original: Row, marker: str, category: str) -> Row | None:
        """Returns what lies in our folder already, after it got category and marker; None when it was changed meanwhile."""
        wanted = codec.with_category(original["categories"] or [], category)
        if codec.read_contact(original).fields.get(FOREIGN_ID) == marker and wanted == list(original["categories"] or []):
            return original
        body = {"categories": wanted, codec.EXTENDED_LIST: [{"id": codec.FOREIGN_PROPERTY, "value": marker}]}
        return self._changed(original, body)

    def _copied(self, original: Row, copy: Row | None, marker: str, category: str) -> Row | None:
        """Returns a copy that holds the same as the original, None when it was changed meanwhile. A copy that fell behind
        its original is brought up to it."""
        body = _copy_of(original, marker, category)
        given: Row | None = None  # the copy as it was made
        if copy is None:
            given, copy = self._made(body)
        elif differing(original, copy, category) and _is_newer(original, copy):
            copy = self._changed(copy, body)
        if copy is None:
            return None
        different = differing(original, copy, category)
        if not different or (given is not None and not _differ_in(different, original, given, category)):
            return copy  # what its user typed into it since it was made stands nowhere else
        if given is not None:
            self._discarded(copy)  # nobody else knows it yet
        raise Rejected(
            f"its copy in our folder does not hold the same ({', '.join(different)[:200]}); the original was left where it is",
            system=SYSTEM,
            field=different[0],
        )

    def _made(self, body: Mapping[str, Any]) -> tuple[Row, Row]:
        """Returns the copy as the answer shows it, and as it is read back."""
        path = f"{self._client.root}/contactFolders/{segment(self._places.ours)}/contacts"
        try:
            answer = self._client.send("POST", path, body, template=FOLDER_TEMPLATE)
        except RecordGone as gone:
            raise folder_gone(gone) from gone
        id_ = codec.id_of(answer.data)
        if not id_:
            raise unreadable(SYSTEM, answer, is_read=False)
        made = self._read(id_)
        if made is None:
            raise StaleVersion("the copy of the contact vanished before it was read back", system=SYSTEM, exchange=answer.exchange)
        return dict(answer.data), made

    def _changed(self, row: Row, body: Mapping[str, Any]) -> Row | None:
        """Returns the contact as it is after a change, None when somebody else changed or deleted it meanwhile."""
        id_ = codec.id_of(row)
        path = f"{self._client.root}/contacts/{segment(id_)}"
        try:
            self._client.send("PATCH", path, body, template=CONTACT_TEMPLATE, if_match=codec.etag_of(row))
        except (StaleVersion, RecordGone):
            return None
        return self._read(id_)

    def _discarded(self, row: Row) -> bool:
        """Moves a contact to the bin. Returns whether it is gone; not when it was changed meanwhile."""
        path = f"{self._client.root}/contacts/{segment(codec.id_of(row))}"
        try:
            self._client.send("DELETE", path, None, template=CONTACT_TEMPLATE, if_match=codec.etag_of(row))
        except StaleVersion:
            return False
        except RecordGone:
            return True
        return True

    def _read(self, id_: str) -> Row | None:
        return self._reader.row_of(self._client.read_all([self._reader.part(id_)])[0], WRITABLE)


def _copy_of(original: Row, marker: str, category: str) -> dict[str, Any]:
    """Returns everything of a contact that can be written, with our category and marker."""
    body: dict[str, Any] = {name: original.get(name) for name in _TEXTS}
    body |= {name: original.get(name) or [] for name in (*_LISTS, codec.EMAILS)}
    body |= {name: original[name] for name in _ADDRESSES if original.get(name)}
    body["categories"] = codec.with_category(original.get("categories") or [], category)
    held = codec.read_contact(original).fields
    extended = {**{name: held.get(name) for name in codec.EXTENDED}, FOREIGN_ID: marker}
    body[codec.EXTENDED_LIST] = [{"id": codec.EXTENDED[name], "value": value or ""} for name, value in extended.items()]
    return body


def differing(original: Row, copy: Row, category: str) -> list[str]:
    """Returns the properties in which a copy holds something else. Blank is blank however it is written, the names of
    e-mail addresses are the directory's, and our category and marker are the copy's alone."""
    ours, theirs = _comparable(original, category), _comparable(copy, category)
    return [name for name in ours if ours[name] != theirs[name]]


def _differ_in(names: list[str], original: Row, given: Row, category: str) -> bool:
    """Tells whether an answer held something else than the original in one of these properties, or did not show it: then it was
    Microsoft that did not take it, and nobody's edit."""
    return any(name not in given for name in names) or bool(set(names) & set(differing(original, given, category)))


def _comparable(row: Row, category: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: str(row.get(name) or "").replace("\r\n", "\n") for name in _TEXTS}
    found["birthday"] = codec.read_contact(row).fields.get("birthday")
    found |= {name: [text for text in row.get(name) or [] if text] for name in _LISTS}
    found |= {name: {part: text for part, text in (row.get(name) or {}).items() if text} for name in _ADDRESSES}
    found[codec.EMAILS] = [entry["address"] for entry in codec.filled(row, codec.EMAILS)]
    found["categories"] = {str(text).casefold() for text in row.get("categories") or []} - {category.casefold()}
    held = codec.read_contact(row).fields
    return found | {name: held.get(name) for name in codec.EXTENDED if name != FOREIGN_ID}


def _is_newer(original: Row, copy: Row) -> bool:
    """Tells whether the original was changed since the copy was made."""
    changed, made = read_instant(original.get("lastModifiedDateTime")), read_instant(copy.get("createdDateTime"))
    return changed is not None and made is not None and changed > made
