"""One call of an operation: who asks, for whose mailbox, and the folders and items that its elements name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import ids
from connectors.sandbox.exchange.refusal import Refused, invalid, no_folder, no_item, no_mailbox
from connectors.sandbox.exchange.soap import attribute, child, error, name_of, needed, text_of
from connectors.sandbox.exchange.store import STANDARD, Store
from connectors.sandbox.microsoft.table import Row

DISTINGUISHED = frozenset(kind for kind, *_ in STANDARD)
# Folders that other servers, versions and mailboxes have.
ELSEWHERE = frozenset((
    "adminauditlogs", "allcategorizeditems", "allcontacts", "allitems", "allpersonmetadata", "archivedeleteditems", "archiveinbox",
    "archivemsgfolderroot", "archiverecoverableitemsdeletions", "archiverecoverableitemspurges", "archiverecoverableitemsroot",
    "archiverecoverableitemsversions", "archiveroot", "companycontacts", "conflicts", "conversationhistory", "directory",
    "dlppolicyevaluation", "favorites", "fromfavoritesenders", "imcontactlist", "inference", "localfailures", "mycontacts",
    "onenotepagepreviews", "peoplecentricconversationbuddies", "peopleconnect", "publicfoldersroot", "qedcdefaultretention",
    "qedclongretention", "qedcmediumretention", "qedcshortretention", "quarantinedemail", "quarantinedemaildefaultcategory",
    "quickcontacts", "recipientcache", "relevantcontacts", "recoverableitemspurges", "recoverableitemsroot",
    "recoverableitemssubstrateholds", "recoverableitemsversions", "searchfolders", "serverfailures", "sharepointnotifications",
    "shortnotes", "syncissues", "temporarysaves", "todosearch", "usercuratedcontacts", "voicemail",
))  # fmt: skip
ITEM_IDS = ("ItemId", "OccurrenceItemId", "RecurringMasterItemId")


@dataclass(frozen=True, slots=True)
class Named:
    """What an item's id names: the row, of an occurrence its day, and the change key that came with it."""

    row: Row
    day: str | None
    change_key: str


@dataclass(slots=True)
class Call:
    """The operation, the mailbox that is acted in (None: the caller has none of its own), and the zone of its times by IANA."""

    store: Store
    operation: Element
    mailbox: Row | None
    zone: str
    resolve_day: Callable[[Row, int], str]  # the day of an occurrence by its number in the series

    @property
    def name(self) -> str:
        return name_of(self.operation)

    def each(self, elements: Iterable[Element], act: Callable[[Element], Element]) -> list[Element]:
        """Returns the response messages of acting on each: what is refused does not keep the others from being done."""
        return [self.one(each, act) for each in elements]

    def one(self, element: Element, act: Callable[[Element], Element]) -> Element:
        try:
            return act(element)
        except Refused as refused:
            return error(self.name, refused)

    def listed(self, name: str) -> list[Element]:
        """Returns the elements in a list that the operation needs. Raises Faulted for one that is missing or empty."""
        found = list(needed(self.operation, name))
        if not found:
            raise invalid(f"The element '{name}' has incomplete content.")
        return found

    def box(self) -> Row:
        """Returns the mailbox that is acted in. Raises Faulted."""
        if self.mailbox is None:
            raise no_mailbox()
        return self.mailbox

    # --- folders ----------------------------------------------------------------------------------------------------------
    def folder(self, element: Element) -> Row:
        """Returns the folder that a FolderId or DistinguishedFolderId names. Raises Refused, Faulted for neither."""
        name = name_of(element)
        if name == "FolderId":
            return self._known_folder(attribute(element, "Id"))
        if name != "DistinguishedFolderId":
            raise invalid(f"The element has invalid child element '{name[:80]}'. List of possible elements expected: 'FolderId'.")
        kind = attribute(element, "Id")
        if kind not in DISTINGUISHED | ELSEWHERE:
            raise invalid(f"The 'Id' attribute is invalid - The value '{kind[:80]}' is invalid according to its datatype.")
        box = self._owner(element)
        if kind in ELSEWHERE:
            raise no_folder()
        return self.store.special(box["n"], kind)

    def _known_folder(self, text: str) -> Row:
        if self.mailbox is not None:
            return self.store.find_folder(self.mailbox["n"], text)
        # A service account without a mailbox reaches into those that it may.
        found = ids.read(self.store.key, text)
        return self.store.find_folder(found.mailbox if found else 0, text)

    def _owner(self, element: Element) -> Row:
        """Returns the mailbox whose folder is meant: one that is named, or the one that is acted in."""
        named = child(element, "Mailbox")
        if named is None:
            return self.box()
        box = self.store.user(text_of(child(named, "EmailAddress")).strip())
        if box is None or box["state"] == "gone":
            raise Refused("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")
        if self.mailbox is not None and box["n"] != self.mailbox["n"]:
            raise Refused("ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if self.mailbox is None and not self.store.switches.full_access:
            raise Refused("ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return box

    def only_folder(self, name: str) -> Row:
        """Returns the folder that an element of the operation holds."""
        found = list(needed(self.operation, name))
        if len(found) != 1:
            raise invalid(f"The element '{name}' has incomplete content.")
        return self.folder(found[0])

    # --- items ------------------------------------------------------------------------------------------------------------
    def item(self, element: Element) -> Named:
        """Returns what an id of an item names: the item, an occurrence by its number, or the series of an occurrence. Raises
        Refused, Faulted for what is no id."""
        name, key = name_of(element), element.get("ChangeKey", "")
        if name == "ItemId":
            return Named(*self._find(attribute(element, "Id")), key)
        if name == "RecurringMasterItemId":
            row, day = self._find(attribute(element, "OccurrenceId"))
            if day is None:
                raise Refused("ErrorCalendarCannotUseIdForOccurrenceId", "The id is not of an occurrence.")
            return Named(row, None, key)
        if name == "OccurrenceItemId":
            row, day = self._find(attribute(element, "RecurringMasterId"))
            if day is not None or row.get("recurrence") is None:
                raise Refused("ErrorCalendarCannotUseIdForRecurringMasterId", "The id is not of a recurring master.")
            text = attribute(element, "InstanceIndex")
            if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
                raise invalid(f"The 'InstanceIndex' attribute is invalid - The value '{text[:40]}' is invalid.")
            return Named(row, self.resolve_day(row, int(text)), key)
        raise invalid(f"The element has invalid child element '{name[:80]}'. List of possible elements expected: 'ItemId'.")

    def _find(self, text: str) -> tuple[Row, str | None]:
        if self.mailbox is not None:
            return self.store.find_item(self.mailbox["n"], text)
        found = ids.read(self.store.key, text)
        if found is not None and not self.store.switches.full_access:
            raise no_item()
        return self.store.find_item(found.mailbox if found else 0, text)
