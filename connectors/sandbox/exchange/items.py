"""Items: made, read, changed, moved and deleted, each of a call by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange import ids, kinds
from connectors.sandbox.exchange.attachments import Attachments
from connectors.sandbox.exchange.calls import Call, Named
from connectors.sandbox.exchange.events import Events, is_rescheduled
from connectors.sandbox.exchange.facts import Facts, read_shape, rendered
from connectors.sandbox.exchange.fields import CONTACT, EVENT, KINDS, MESSAGE, TASK
from connectors.sandbox.exchange.meetings import SENDS, Meetings, attendees_of
from connectors.sandbox.exchange.refusal import Refused, invalid, stale_key
from connectors.sandbox.exchange.soap import attribute, child, choice, m, name_of, needed, success, t
from connectors.sandbox.exchange.store import BIN, CALENDAR, CONTACTS, DRAFTS, DUMPSTER, INBOX, SENT, TASKS, Store
from connectors.sandbox.exchange.writing import MOST_RECIPIENTS, Given, merged, read_changes, read_item
from connectors.sandbox.microsoft.occurrences import Item
from connectors.sandbox.microsoft.table import Row

HOMES = {CONTACT: CONTACTS, EVENT: CALENDAR, TASK: TASKS, MESSAGE: DRAFTS}
ANSWERS = {"AcceptItem": "Accept", "TentativelyAcceptItem": "Tentative", "DeclineItem": "Decline"}
DISPOSITIONS = ("SaveOnly", "SendOnly", "SendAndSaveCopy")
DELETIONS = ("HardDelete", "SoftDelete", "MoveToDeletedItems")
RESOLUTIONS = ("NeverOverwrite", "AutoResolve", "AlwaysOverwrite")
_CREATING, _CHANGING, _DELETING = "SendMeetingInvitations", "SendMeetingInvitationsOrCancellations", "SendMeetingCancellations"


class Items:
    """The operations about items."""

    def __init__(self, store: Store, attachments: Attachments, events: Events, meetings: Meetings) -> None:
        self._store, self._attachments, self._events, self._meetings = store, attachments, events, meetings

    # --- reading ------------------------------------------------------------------------------------------------------------
    def get(self, call: Call) -> list[Element]:
        def one(element: Element) -> Element:
            named = call.item(element)
            shape = read_shape(call.operation)
            self._events.existing(named.row, named.day)
            facts = Facts(self._store, self._attachments, named.row, named.day)
            return success(call.name, m("Items", rendered(facts, shape)))

        return call.each(call.listed("ItemIds"), one)

    def _id_of(self, row: Row, day: str | None = None, *more: Element | None) -> Element:
        return t(row["kind"], Facts(self._store, self._attachments, row, day).id_element(), *more)

    # --- making -------------------------------------------------------------------------------------------------------------
    def create(self, call: Call) -> list[Element]:
        elements = call.listed("Items")
        for element in elements:
            _check(lambda element: read_item(element, name_of(element), call.zone) if name_of(element) in KINDS else None, element)
        return call.each(elements, lambda element: self._create(call, element))

    def _create(self, call: Call, element: Element) -> Element:
        kind = name_of(element)
        if kind in ANSWERS or kind == "CancelCalendarItem":
            return self._act_on_meeting(call, element)
        if kind not in KINDS:
            raise Refused("ErrorInvalidOperation", f"Items of the kind {kind[:40]} are not played.")
        given = read_item(element, kind, call.zone)
        row = self.make(call, kind, given)
        if row is None:  # sent, and kept nowhere
            return success(call.name, m("Items"))
        files = [t("FileAttachment", self._attachments.id_element(each)) for each in self._attachments.of(row["n"])]
        return success(call.name, m("Items", self._id_of(row, None, t("Attachments", *files) if files else None)))

    def make(self, call: Call, kind: str, given: Given) -> Row | None:
        """Stores a new item as a call wants it. Returns None for a message that is only sent."""
        folder = self._home(call, kind)
        if kind == MESSAGE:
            return self._make_message(call, folder, given)
        kinds.check_folder(kind, folder)
        if kind == EVENT:
            sends = _sends(call, _CREATING, "ErrorSendMeetingInvitationsRequired")
            row = self.add(folder, kind, given, call.zone)
            return self._meetings.changed(Item(row), {}, sends=sends, is_rescheduled=False).row
        return self.add(folder, kind, given, call.zone)

    def _home(self, call: Call, kind: str) -> Row:
        if child(call.operation, "SavedItemFolderId") is not None:
            return call.only_folder("SavedItemFolderId")
        return self._store.special(call.box()["n"], HOMES[kind])

    def home(self, mailbox: int, kind: str) -> Row:
        """Returns one of the folders that every mailbox has."""
        return self._store.special(mailbox, kind)

    def add(self, folder: Row, kind: str, given: Given, zone: str) -> Row:
        """Stores a new item with what its kind brings along."""
        if kind == EVENT:
            row = self._events.add(folder, given, zone)
        else:
            values = given.values
            if kind == CONTACT:
                values = kinds.new_contact(values)
            elif kind == TASK:
                values = kinds.changed_task({}, {"task:Status": "NotStarted", **values}, self._store.stamp())
            extended = {key: value for key, value in given.extended.items() if value is not None}
            row = self._store.add(folder, kind, merged({}, values), extended)
        for each in given.attachments:
            self._attachments.add(row, each)
        return row

    # --- messages -----------------------------------------------------------------------------------------------------------
    def _make_message(self, call: Call, folder: Row, given: Given) -> Row | None:
        disposition = call.operation.get("MessageDisposition")
        if disposition is None:
            raise Refused("ErrorMessageDispositionRequired", "Message disposition is required.")
        choice(call.operation, "MessageDisposition", DISPOSITIONS)
        if len(kinds.recipients_of(given.values)) > MOST_RECIPIENTS:
            raise Refused("ErrorInvalidRecipients", "There are too many recipients.")
        if disposition == "SaveOnly":
            return self.add(folder, MESSAGE, Given({**given.values, "item:IsDraft": True}, given.extended, given.attachments), call.zone)
        sent = self.send(call.box(), given)
        if disposition == "SendOnly":
            return None
        has_place = child(call.operation, "SavedItemFolderId") is not None
        return self.add(folder if has_place else self._store.special(call.box()["n"], SENT), MESSAGE, sent, call.zone)

    def send(self, box: Row, given: Given) -> Given:
        """Sends a message of a mailbox: notes the mail, and puts it into the Inbox of each recipient here. Returns it as it went."""
        people = kinds.recipients_of(given.values)
        if not people:
            raise Refused("ErrorMissingRecipients", "No recipients were specified.")
        at, who = self._store.stamp(), self._store.person(box["n"])
        number = self._store.tables["item"].next_number
        made_up = {"message:InternetMessageId": f"<{number:08x}@{who['address'].partition('@')[2]}>", "conversation": f"{number}"}
        values: dict[str, Any] = {**made_up, **given.values, "message:From": who, "message:Sender": who, "item:DateTimeSent": at,
                                  "item:DateTimeReceived": at, "item:IsDraft": False}  # fmt: skip
        addresses = [each["address"] for each in people]
        self._store.send("message", mailbox=who["address"], to=addresses, subject=str(values.get("item:Subject") or ""))
        received = {key: value for key, value in values.items() if key != "message:BccRecipients"}
        for user in filter(None, (self._store.user(address) for address in dict.fromkeys(addresses))):
            own = Given({**received, "message:IsRead": False}, {}, list(given.attachments))
            self.add(self._store.special(user["n"], INBOX), MESSAGE, own, "UTC")
        return Given({**values, "message:IsRead": True}, given.extended, given.attachments)

    # --- answers to meetings ------------------------------------------------------------------------------------------------
    def _act_on_meeting(self, call: Call, element: Element) -> Element:
        reference = needed(element, "ReferenceItemId")
        row, day = call.store.find_item(call.box()["n"], attribute(reference, "Id"))
        if row["kind"] != EVENT:
            raise Refused("ErrorInvalidReferenceItem", "The reference item is no meeting.")
        item = self._events.existing(row, day)
        sends = choice(call.operation, "MessageDisposition", DISPOSITIONS) != "SaveOnly"
        if name_of(element) == "CancelCalendarItem":
            return self._cancel(call, item)
        after = self._meetings.answered(item, ANSWERS[name_of(element)], sends=sends)
        return success(call.name, m("Items", *([] if after is None else [self._id_of(after.row, after.day)])))

    def _cancel(self, call: Call, item: Item) -> Element:
        if not item.row["is_organizer"]:
            raise Refused("ErrorCalendarIsNotOrganizer", "Only the organizer cancels a meeting.")
        self._meetings.cancelled(item, sends="all")
        self._take_away(item, "MoveToDeletedItems")
        return success(call.name, m("Items"))

    # --- changing -----------------------------------------------------------------------------------------------------------
    def update(self, call: Call) -> list[Element]:
        resolution = choice(call.operation, "ConflictResolution", RESOLUTIONS)

        def one(element: Element) -> Element:
            named = call.item(element[0])
            item = self._events.existing(named.row, named.day)
            self._check_key(named, resolution)
            facts = Facts(self._store, self._attachments, named.row, named.day)
            given = read_changes(element, named.row["kind"], call.zone, dict(facts.values))
            after = self._changed(call, item, given)
            told = m("Items", self._id_of(after.row, after.day)), m("ConflictResults", t("Count", text=0))
            return success(call.name, *told)

        elements = call.listed("ItemChanges")
        for element in elements:
            if name_of(element) != "ItemChange" or not len(element):
                raise invalid(f"The element 'ItemChanges' has invalid child element '{name_of(element)[:80]}'.")
            _check(lambda element: read_changes(element, call.item(element[0]).row["kind"], call.zone, {}), element)
        return call.each(elements, one)

    def _check_key(self, named: Named, resolution: str) -> None:
        """Raises Refused for a change key that may not write. What AutoResolve does with an old one a switch says."""
        if resolution == "AlwaysOverwrite":
            return
        if not named.change_key:
            raise Refused("ErrorChangeKeyRequired", "The ChangeKey is required for this operation.")
        version = ids.read_version(self._store.key, named.row["n"], named.change_key)
        if version is None:
            raise Refused("ErrorInvalidChangeKey", "The change key is invalid.")
        if version != named.row["version"] and (resolution == "NeverOverwrite" or self._store.switches.auto_resolve == "refuse"):
            raise stale_key()

    def _changed(self, call: Call, item: Item, given: Given) -> Item:
        if item.row["kind"] != EVENT:
            return Item(self.change(item.row, given))
        sends = _sends(call, _CHANGING, "ErrorSendMeetingInvitationsOrCancellationsRequired")
        before, people = item, attendees_of(item)
        after = self._events.change(item, given, call.zone)
        return self._meetings.changed(after, people, sends=sends, is_rescheduled=is_rescheduled(before, after))

    def change(self, row: Row, given: Given) -> Row:
        """Stores a change of what is no event. Raises Refused."""
        values = given.values
        if row["kind"] == TASK:
            values = kinds.changed_task(row["values"], values, self._store.stamp())
        elif row["kind"] == MESSAGE:
            kinds.check_message(row["values"], values)
        only_read = set(given.keys) == {"message:IsRead"}
        extended = merged(row["extended"], given.extended)
        return self._store.change(row, only_read=only_read, values=merged(row["values"], values), extended=extended)

    # --- moving and deleting --------------------------------------------------------------------------------------------------
    def move(self, call: Call) -> list[Element]:
        return self._to_folder(call, self._store.move)

    def copy(self, call: Call) -> list[Element]:
        return self._to_folder(call, self._copied)

    def _copied(self, row: Row, folder: Row) -> Row:
        if row["kind"] == EVENT:
            raise Refused("ErrorInvalidOperation", "Copies of events are not played.")
        copy = self._store.add(folder, row["kind"], row["values"], row["extended"])
        self._attachments.copy(row, copy)
        return copy

    def _to_folder(self, call: Call, act: Any) -> list[Element]:
        def one(element: Element) -> Element:
            folder, named = call.only_folder("ToFolderId"), call.item(element)
            if named.day is not None:
                raise Refused("ErrorCalendarCannotMoveOrCopyOccurrence", "An occurrence is not moved or copied without its series.")
            return success(call.name, m("Items", self._id_of(act(named.row, folder))))

        return call.each(call.listed("ItemIds"), one)

    def delete(self, call: Call) -> list[Element]:
        how = choice(call.operation, "DeleteType", DELETIONS)

        def one(element: Element) -> Element:
            named = call.item(element)
            item = self._events.existing(named.row, named.day)
            if named.row["kind"] == EVENT:
                sends = _sends(call, _DELETING, "ErrorSendMeetingCancellationsRequired")
                self._meetings.cancelled(item, sends=sends)
            elif named.row["kind"] == TASK and call.operation.get("AffectedTaskOccurrences") is None:
                raise Refused("ErrorAffectedTaskOccurrencesRequired", "AffectedTaskOccurrences is required to delete a task.")
            self._take_away(item, how)
            return success(call.name)

        return call.each(call.listed("ItemIds"), one)

    def _take_away(self, item: Item, how: str) -> None:
        if item.day is not None:
            self._events.remove_day(item)
        else:
            self.take_away(item.row, how)

    def take_away(self, row: Row, how: str) -> None:
        """Deletes an item: for good, into the dumpster that Outlook recovers from, or into the Deleted Items."""
        if how == "HardDelete":
            self._store.remove(row)
        else:
            self._store.move(row, self._store.special(row["mailbox"], DUMPSTER if how == "SoftDelete" else BIN))


def _check(read: Callable[[Element], object], element: Element) -> None:
    """Raises Faulted for what the schema does not have, before anything is done; what is refused is told in its place."""
    try:
        read(element)
    except Refused:
        return


def _sends(call: Call, name: str, missing: str) -> str:
    """Returns to whom a call about events sends: none, all, or changed. Raises Refused where it does not say it."""
    if call.operation.get(name) is None:
        raise Refused(missing, f"{name} is required for calendar items.")
    return SENDS[choice(call.operation, name, SENDS)]
