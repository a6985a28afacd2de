"""The played Exchange under calls that are wrong in ways nobody thought of, and laws of what it writes and reads."""

from __future__ import annotations

import base64
import copy
import random
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.exchange import ids, recurring, soap
from connectors.sandbox.microsoft import recurrence
from connectors.sandbox.wire import Request
from connectors.sandbox.world import World
from tests.sandbox.exchange_box import EMMA, ERIK, EWS, OURS, envelope
from tests.sandbox.force import Clock

SHAPE = (
    "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
    '<t:FieldURI FieldURI="item:Categories"/><t:IndexedFieldURI FieldURI="contacts:EmailAddress" FieldIndex="EmailAddress1"/>'
    '<t:ExtendedFieldURI PropertySetId="c11ff724-aa03-4555-9952-8fa248a11c3e" PropertyName="SfId" PropertyType="String"/>'
    "</t:AdditionalProperties></m:ItemShape>"
)
FOLDERS = '<m:ParentFolderIds><t:DistinguishedFolderId Id="{}"/></m:ParentFolderIds>'
PATTERN = (
    "<t:Recurrence><t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Monday Friday</t:DaysOfWeek></t:WeeklyRecurrence>"
    "<t:NumberedRecurrence><t:StartDate>2026-12-01</t:StartDate><t:NumberOfOccurrences>5</t:NumberOfOccurrences>"
    "</t:NumberedRecurrence></t:Recurrence>"
)
EVENT = (
    "<t:CalendarItem><t:Subject>x</t:Subject><t:Start>2026-12-01T10:00:00+01:00</t:Start><t:End>2026-12-01T11:00:00+01:00</t:End>"
    "<t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>erik@example.test</t:EmailAddress></t:Mailbox></t:Attendee>"
    f'</t:RequiredAttendees>{PATTERN}<t:StartTimeZone Id="W. Europe Standard Time"/></t:CalendarItem>'
)
CONTACT = (
    "<t:Contact><t:Categories><t:String>A</t:String></t:Categories><t:ExtendedProperty><t:ExtendedFieldURI "
    'PropertySetId="c11ff724-aa03-4555-9952-8fa248a11c3e" PropertyName="SfId" PropertyType="String"/><t:Value>1</t:Value>'
    "</t:ExtendedProperty><t:GivenName>Bo</t:GivenName><t:EmailAddresses><t:Entry Key='EmailAddress1'>bo@x.example</t:Entry>"
    "</t:EmailAddresses><t:PhysicalAddresses><t:Entry Key='Business'><t:City>Leeds</t:City></t:Entry></t:PhysicalAddresses>"
    "<t:Birthday>1980-01-02T11:59:00Z</t:Birthday></t:Contact>"
)
MESSAGE = (
    "<t:Message><t:Subject>x</t:Subject><t:Body BodyType='HTML'>x</t:Body><t:Attachments><t:FileAttachment><t:Name>a</t:Name>"
    "<t:Content>aGk=</t:Content></t:FileAttachment></t:Attachments><t:ToRecipients><t:Mailbox>"
    "<t:EmailAddress>erik@example.test</t:EmailAddress></t:Mailbox></t:ToRecipients></t:Message>"
)
PATH = '<t:FieldURI FieldURI="item:Subject"/>'
OPERATIONS = (
    "<m:GetFolder><m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape><m:FolderIds>"
    '<t:FolderId Id="{folder}"/><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>',
    "<m:FindFolder Traversal='Deep'><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape><m:IndexedPageFolderView "
    f"MaxEntriesReturned='2' Offset='1' BasePoint='Beginning'/>{FOLDERS.format('root')}</m:FindFolder>",
    f"<m:GetItem>{SHAPE}<m:ItemIds><t:ItemId Id='{{contact}}'/><t:OccurrenceItemId RecurringMasterId='{{event}}' InstanceIndex='2'/>"
    "</m:ItemIds></m:GetItem>",
    f"<m:CreateItem MessageDisposition='SendAndSaveCopy' SendMeetingInvitations='SendToAllAndSaveCopy'><m:Items>{CONTACT}{EVENT}"
    f"{MESSAGE}<t:Task><t:Subject>x</t:Subject><t:DueDate>2026-12-04T00:00:00Z</t:DueDate></t:Task></m:Items></m:CreateItem>",
    f"<m:FindItem Traversal='Shallow'>{SHAPE}<m:IndexedPageItemView MaxEntriesReturned='5' Offset='0' BasePoint='End'/><m:Restriction>"
    f"<t:And><t:Contains ContainmentMode='Substring'>{PATH}<t:Constant Value='x'/></t:Contains><t:Not><t:Exists>{PATH}</t:Exists></t:Not>"
    f"<t:IsEqualTo>{PATH}<t:FieldURIOrConstant><t:Constant Value='1'/></t:FieldURIOrConstant></t:IsEqualTo></t:And></m:Restriction>"
    f"<m:SortOrder><t:FieldOrder Order='Ascending'>{PATH}</t:FieldOrder></m:SortOrder>{FOLDERS.format('contacts')}</m:FindItem>",
    f"<m:FindItem Traversal='Shallow'>{SHAPE}<m:CalendarView StartDate='2026-12-01T00:00:00Z' EndDate='2026-12-31T00:00:00Z'/>"
    f"{FOLDERS.format('calendar')}</m:FindItem>",
    "<m:UpdateItem ConflictResolution='NeverOverwrite' MessageDisposition='SaveOnly' SendMeetingInvitationsOrCancellations='SendToNone'>"
    "<m:ItemChanges><t:ItemChange><t:ItemId Id='{event}' ChangeKey='{key}'/><t:Updates><t:SetItemField>"
    f"<t:FieldURI FieldURI='calendar:Recurrence'/><t:CalendarItem>{PATTERN}</t:CalendarItem></t:SetItemField><t:DeleteItemField>"
    "<t:FieldURI FieldURI='item:Categories'/></t:DeleteItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
    "<m:DeleteItem DeleteType='SoftDelete' SendMeetingCancellations='SendToAllAndSaveCopy' AffectedTaskOccurrences='AllOccurrences'>"
    "<m:ItemIds><t:OccurrenceItemId RecurringMasterId='{event}' InstanceIndex='1'/></m:ItemIds></m:DeleteItem>",
    "<m:MoveItem><m:ToFolderId><t:DistinguishedFolderId Id='deleteditems'/></m:ToFolderId><m:ItemIds><t:ItemId Id='{contact}'/>"
    "</m:ItemIds></m:MoveItem>",
    f"<m:SyncFolderItems>{SHAPE}<m:SyncFolderId><t:FolderId Id='{{folder}}'/></m:SyncFolderId><m:SyncState>{{state}}</m:SyncState>"
    "<m:MaxChangesReturned>10</m:MaxChangesReturned></m:SyncFolderItems>",
    "<m:SyncFolderHierarchy><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape></m:SyncFolderHierarchy>",
    "<m:Subscribe><m:PullSubscriptionRequest><t:FolderIds><t:DistinguishedFolderId Id='inbox'/></t:FolderIds><t:EventTypes>"
    "<t:EventType>CreatedEvent</t:EventType></t:EventTypes><t:Timeout>10</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>",
    "<m:GetEvents><m:SubscriptionId>x</m:SubscriptionId><m:Watermark>y</m:Watermark></m:GetEvents>",
    "<m:ResolveNames ReturnFullContactData='true'><m:UnresolvedEntry>e</m:UnresolvedEntry></m:ResolveNames>",
    "<m:ConvertId DestinationFormat='EntryId'><m:SourceIds><t:AlternateId Format='EwsId' Id='{contact}' Mailbox='e'/></m:SourceIds>"
    "</m:ConvertId>",
)
WORDS = ("", "x", "-1", "0", "999999999", "99999999999", "2026-12-01T10:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "true",
         "Daily", "SendToNone", "HardDelete", "Ж", "Contact", "contacts:JobTitle", "calendar:Start", "item:Body", "2026-02-30",
         "{}", "%s", "EmailAddress9", "AAMkAGI1")  # fmt: skip


def changed(root: ElementTree.Element, lots: random.Random) -> bytes:
    """Returns an envelope with one to three things about it wrong."""
    for _ in range(lots.randint(1, 3)):
        elements = list(root.iter())
        element = lots.choice(elements)
        children = list(element)
        how = lots.randrange(7)
        if how == 0 and children:
            element.remove(lots.choice(children))
        elif how == 1:
            element.append(copy.deepcopy(lots.choice(elements)))
        elif how == 2:
            element.text = lots.choice(WORDS)
        elif how == 3 and element.attrib:
            element.attrib[lots.choice(list(element.attrib))] = lots.choice(WORDS)
        elif how == 4 and element.attrib:
            del element.attrib[lots.choice(list(element.attrib))]
        elif how == 5:
            element.tag = lots.choice(elements).tag
        else:
            lots.shuffle(children)
            element[:] = children
    return ElementTree.tostring(root)


class Mailbox:
    """A world in process with something of each kind, and the ids that calls name."""

    def __init__(self) -> None:
        self.world = World(seed=7, now=Clock())
        system = self.world.exchange
        times = {"start": "2026-12-01T10:00", "end": "2026-12-01T11:00", "attendees": [ERIK]}
        range_ = '{"type": "noEnd", "startDate": "2026-12-01"}'
        pattern = f'{{"pattern": {{"type": "daily", "interval": 1}}, "range": {range_}}}'
        contact = system.create_record("contact", {"mailbox": EMMA, "givenName": "Bo", "extendedProperties": {OURS: "1"}})
        event = system.create_record("event", {"mailbox": EMMA, "subject": "x", "recurrence": pattern, **times})
        folder = system.store.special(1, "contacts")
        self.names = {"contact": contact["id"], "event": event["id"], "key": event["changeKey"], "folder": system.store.folder_id(folder)}
        self.names["state"] = ""
        pair = f"{system.credentials()['username']}:{system.credentials()['password']}"
        self.headers = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def ask(self, body: bytes) -> tuple[int, str]:
        response = self.world.handle("exchange", Request("POST", EWS, "", self.headers, body, "http://127.0.0.1")).response
        return response.status, response.body.decode()


@pytest.fixture(scope="module")
def mailbox():
    return Mailbox()


@pytest.mark.parametrize("place", range(len(OPERATIONS)))
def test_every_call_that_is_changed_here_is_answered_when_it_is_right(place):
    box = Mailbox()
    status, text = box.ask(envelope(OPERATIONS[place].format(**box.names)).encode())

    known = ("ErrorSubscriptionNotFound", "ErrorNameResolutionMultipleResults")
    assert status == 200 and (">Error" not in text or any(code in text for code in known)), text


@pytest.mark.parametrize("seed", range(8))
def test_no_call_however_wrong_is_a_defect_of_the_sandbox(mailbox, capsys, seed):
    lots = random.Random(seed)
    for _ in range(60):
        body = envelope(lots.choice(OPERATIONS).format(**mailbox.names))
        data = changed(ElementTree.fromstring(body), lots)

        status, text = mailbox.ask(data)

        assert status in (200, 500) and "ErrorInternalServerError" not in text, data
        ElementTree.fromstring(text)
    assert capsys.readouterr().err == ""


# --- laws -------------------------------------------------------------------------------------------------------------------
NUMBERS = st.integers(0, 2**32 - 1)


@given(NUMBERS, NUMBERS, st.integers(0, 2**63), NUMBERS, st.sampled_from((ids.FOLDER, ids.ITEM, ids.ATTACHMENT)))
def test_an_id_says_what_it_was_made_of_and_nothing_when_a_letter_differs(mailbox_number, moves, number, day, kind):
    made = ids.Id(kind, mailbox_number, number, moves, day)
    text = ids.make("key", made)

    assert ids.read("key", text) == made and ids.read("other", text) is None
    assert ids.read("key", text.swapcase()) is None and ids.read("key", text[:-1]) is None
    assert ids.read_entry("key", ids.entry("key", made)) == made


DAYS = st.lists(st.sampled_from(recurrence.DAYS), min_size=1, unique=True)
PATTERNS = st.one_of(
    st.fixed_dictionaries({"type": st.just("daily"), "interval": st.integers(1, 99)}),
    st.fixed_dictionaries({"type": st.just("weekly"), "interval": st.integers(1, 99), "daysOfWeek": DAYS,
                           "firstDayOfWeek": st.sampled_from(recurrence.DAYS)}),
    st.fixed_dictionaries({"type": st.just("absoluteMonthly"), "interval": st.integers(1, 99), "dayOfMonth": st.integers(1, 31)}),
    st.fixed_dictionaries({"type": st.just("relativeMonthly"), "interval": st.integers(1, 99), "index": st.sampled_from(recurrence.INDEXES),
                           "daysOfWeek": st.sampled_from([[day] for day in recurrence.DAYS] + [list(recurrence.DAYS[:5])])}),
    st.fixed_dictionaries({"type": st.just("absoluteYearly"), "dayOfMonth": st.integers(1, 31), "month": st.integers(1, 12)}),
    st.fixed_dictionaries({"type": st.just("relativeYearly"), "month": st.integers(1, 12), "index": st.sampled_from(recurrence.INDEXES),
                           "daysOfWeek": st.sampled_from([[day] for day in recurrence.DAYS])}),
)  # fmt: skip
RANGES = st.one_of(
    st.just({"type": "noEnd", "startDate": "2026-12-01"}),
    st.just({"type": "endDate", "startDate": "2026-12-01", "endDate": "2027-12-01"}),
    st.builds(lambda n: {"type": "numbered", "startDate": "2026-12-01", "numberOfOccurrences": n}, st.integers(1, 999)),
)


@given(PATTERNS, RANGES)
def test_a_recurrence_that_was_written_reads_as_the_same(pattern, range_):
    stored = recurrence.read({"pattern": pattern, "range": range_})

    again = recurring.read(soap.parse(ElementTree.tostring(recurring.shown(stored))))

    assert again["range"] == stored["range"]
    assert {**again["pattern"], "daysOfWeek": set(again["pattern"]["daysOfWeek"])} == {
        **stored["pattern"], "daysOfWeek": set(stored["pattern"]["daysOfWeek"])}  # fmt: skip


@given(st.text(max_size=200))
def test_any_text_can_be_told(text):
    element = soap.t("Subject", text=text)

    read = soap.parse(soap.enveloped(element)).find(f".//{{{soap.TYPES}}}Subject")

    assert read is not None and (read.text or "") == soap.said(text)
