"""The properties of items: which there are, of what kind their values are, which of them may be written.

A value is kept under its property's URI; of an indexed one under `contacts:EmailAddress/EmailAddress1`.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTACT, EVENT, TASK, MESSAGE = "Contact", "CalendarItem", "Task", "Message"
KINDS = {CONTACT: "contacts", EVENT: "calendar", TASK: "task", MESSAGE: "message"}  # and the words before their own properties
CLASSES = {CONTACT: "IPM.Contact", EVENT: "IPM.Appointment", TASK: "IPM.Task", MESSAGE: "IPM.Note"}
# kinds of values
TEXT, BOOL, WHOLE, NUMBER, INSTANT, DAY, CHOICE = "text", "boolean", "whole", "number", "instant", "day", "choice"
STRINGS, BODY, BINARY, MAILBOX, MAILBOXES, ATTENDEES = "strings", "body", "binary", "mailbox", "mailboxes", "attendees"
ZONE, RECURRENCE, MADE = "zone", "recurrence", "made"  # made: an element that is made up when it is asked for

_PHONES = ("AssistantPhone", "BusinessFax", "BusinessPhone", "BusinessPhone2", "Callback", "CarPhone", "CompanyMainPhone", "HomeFax",
           "HomePhone", "HomePhone2", "Isdn", "MobilePhone", "OtherFax", "OtherTelephone", "Pager", "PrimaryPhone", "RadioPhone", "Telex",
           "TtyTddPhone")  # fmt: skip
ADDRESS_PARTS = ("Street", "City", "State", "CountryOrRegion", "PostalCode")
# By URI: the element that holds all entries, and their keys.
INDEXED = {
    "contacts:EmailAddress": ("EmailAddresses", ("EmailAddress1", "EmailAddress2", "EmailAddress3")),
    **{f"contacts:PhysicalAddress:{part}": ("PhysicalAddresses", ("Business", "Home", "Other")) for part in ADDRESS_PARTS},
    "contacts:PhoneNumber": ("PhoneNumbers", _PHONES),
    "contacts:ImAddress": ("ImAddresses", ("ImAddress1", "ImAddress2", "ImAddress3")),
}
SENSITIVITIES = ("Normal", "Personal", "Private", "Confidential")
IMPORTANCES = ("Low", "Normal", "High")
FREE_BUSY = ("Free", "Tentative", "Busy", "OOF", "NoData", "WorkingElsewhere")
STATUSES = ("NotStarted", "InProgress", "Completed", "WaitingOnOthers", "Deferred")
RESPONSES = ("Unknown", "Organizer", "Tentative", "Accept", "Decline", "NoResponseReceived")
_FILE_AS = ("None", "LastCommaFirst", "FirstSpaceLast", "Company", "LastCommaFirstCompany", "CompanyLastFirst", "LastFirst",
            "LastFirstCompany", "CompanyLastCommaFirst", "LastFirstSuffix", "LastSpaceFirstCompany", "CompanyLastSpaceFirst",
            "LastSpaceFirst", "DisplayName", "FirstName", "LastFirstMiddleSuffix", "LastName", "Empty")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One property. `is_long`: lists of items (FindItem, SyncFolderItems) leave it out; `is_refused`: they refuse to be asked."""

    uri: str
    type: str
    is_writable: bool = True
    is_long: bool = False
    is_refused: bool = False
    choices: tuple[str, ...] = ()

    @property
    def element(self) -> str:
        return self.uri.partition(":")[2]


def _some(prefix: str, type_: str, names: str, *, is_writable: bool = True, is_long: bool = False) -> list[Field]:
    return [Field(f"{prefix}:{name}", type_, is_writable, is_long) for name in names.split()]


def _choice(uri: str, choices: tuple[str, ...], *, is_writable: bool = True) -> Field:
    return Field(uri, CHOICE, is_writable=is_writable, choices=choices)


_ITEM = [
    Field("item:MimeContent", BINARY, is_writable=False, is_refused=True),
    *_some("item", MADE, "ItemId ParentFolderId", is_writable=False),
    Field("item:ItemClass", TEXT),
    Field("item:Subject", TEXT),
    _choice("item:Sensitivity", SENSITIVITIES),
    Field("item:Body", BODY, is_refused=True),
    Field("item:Attachments", MADE, is_refused=True),
    Field("item:DateTimeReceived", INSTANT, is_writable=False),
    Field("item:Size", WHOLE, is_writable=False),
    Field("item:Categories", STRINGS),
    _choice("item:Importance", IMPORTANCES),
    Field("item:InReplyTo", TEXT),
    *_some("item", BOOL, "IsSubmitted IsDraft IsFromMe IsResend IsUnmodified", is_writable=False),
    Field("item:InternetMessageHeaders", MADE, is_writable=False, is_long=True),
    *_some("item", INSTANT, "DateTimeSent DateTimeCreated", is_writable=False),
    Field("item:ResponseObjects", MADE, is_writable=False),
    Field("item:ReminderDueBy", INSTANT),
    Field("item:ReminderIsSet", BOOL),
    Field("item:ReminderMinutesBeforeStart", WHOLE),
    *_some("item", TEXT, "DisplayCc DisplayTo", is_writable=False),
    Field("item:HasAttachments", BOOL, is_writable=False),
    Field("item:Culture", TEXT),
    Field("item:EffectiveRights", MADE, is_writable=False),
    Field("item:LastModifiedName", TEXT, is_writable=False),
    Field("item:LastModifiedTime", INSTANT, is_writable=False),
    Field("item:IsAssociated", BOOL, is_writable=False),
    *_some("item", TEXT, "WebClientReadFormQueryString WebClientEditFormQueryString", is_writable=False),
    Field("item:ConversationId", MADE, is_writable=False),
    Field("item:UniqueBody", BODY, is_writable=False, is_refused=True),
    Field("item:TextBody", BODY, is_writable=False, is_refused=True),
    *_some("item", TEXT, "Preview", is_writable=False),
]
_CONTACT = [
    *_some("contacts", TEXT, "FileAs"),
    _choice("contacts:FileAsMapping", _FILE_AS),
    *_some("contacts", TEXT, "DisplayName GivenName Initials MiddleName Nickname"),
    Field("contacts:CompleteName", MADE, is_writable=False),
    *_some("contacts", TEXT, "CompanyName"),
    *(Field(uri, TEXT) for uri in INDEXED),
    *_some("contacts", TEXT, "AssistantName"),
    Field("contacts:Birthday", INSTANT),
    Field("contacts:BusinessHomePage", TEXT),
    *_some("contacts", STRINGS, "Children Companies"),
    _choice("contacts:ContactSource", ("ActiveDirectory", "Store"), is_writable=False),
    *_some("contacts", TEXT, "Department Generation JobTitle Manager Mileage OfficeLocation"),
    _choice("contacts:PostalAddressIndex", ("Business", "Home", "Other", "None")),
    *_some("contacts", TEXT, "Profession SpouseName Surname"),
    Field("contacts:WeddingAnniversary", INSTANT),
    Field("contacts:HasPicture", BOOL, is_writable=False),
    *_some("contacts", TEXT, "PhoneticFullName PhoneticFirstName PhoneticLastName Alias Notes DirectoryId", is_writable=False),
    *_some("contacts", BINARY, "Photo UserSMIMECertificate MSExchangeCertificate", is_writable=False),
    *_some("contacts", MADE, "ManagerMailbox DirectReports", is_writable=False),
]
_EVENT = [
    Field("calendar:UID", TEXT),
    *_some("calendar", INSTANT, "RecurrenceId", is_writable=False),
    *_some("calendar", INSTANT, "Start End"),
    Field("calendar:OriginalStart", INSTANT, is_writable=False),
    Field("calendar:IsAllDayEvent", BOOL),
    _choice("calendar:LegacyFreeBusyStatus", FREE_BUSY),
    *_some("calendar", TEXT, "Location When"),
    *_some("calendar", BOOL, "IsMeeting IsCancelled IsRecurring MeetingRequestWasSent", is_writable=False),
    Field("calendar:IsResponseRequested", BOOL),
    _choice("calendar:CalendarItemType", ("Single", "Occurrence", "Exception", "RecurringMaster"), is_writable=False),
    _choice("calendar:MyResponseType", RESPONSES, is_writable=False),
    Field("calendar:Organizer", MAILBOX, is_writable=False),
    *_some("calendar", ATTENDEES, "RequiredAttendees OptionalAttendees Resources", is_long=True),
    *_some("calendar", WHOLE, "ConflictingMeetingCount AdjacentMeetingCount", is_writable=False),
    *_some("calendar", MADE, "ConflictingMeetings AdjacentMeetings", is_writable=False, is_long=True),
    *_some("calendar", TEXT, "Duration TimeZone", is_writable=False),
    Field("calendar:AppointmentReplyTime", INSTANT, is_writable=False),
    *_some("calendar", WHOLE, "AppointmentSequenceNumber AppointmentState", is_writable=False),
    Field("calendar:Recurrence", RECURRENCE, is_long=True),
    *_some("calendar", MADE, "FirstOccurrence LastOccurrence ModifiedOccurrences DeletedOccurrences", is_writable=False, is_long=True),
    *_some("calendar", ZONE, "MeetingTimeZone StartTimeZone EndTimeZone"),
    Field("calendar:ConferenceType", WHOLE),
    Field("calendar:AllowNewTimeProposal", BOOL),
    Field("calendar:IsOnlineMeeting", BOOL, is_writable=False),
    *_some("calendar", TEXT, "MeetingWorkspaceUrl NetShowUrl"),
]
_TASK = [
    Field("task:ActualWork", WHOLE),
    Field("task:AssignedTime", INSTANT, is_writable=False),
    Field("task:BillingInformation", TEXT),
    Field("task:ChangeCount", WHOLE, is_writable=False),
    Field("task:Companies", STRINGS),
    Field("task:CompleteDate", INSTANT),
    Field("task:Contacts", STRINGS),
    *_some("task", TEXT, "DelegationState Delegator", is_writable=False),
    Field("task:DueDate", DAY),
    *_some("task", BOOL, "IsAssignmentEditable IsComplete IsRecurring IsTeamTask", is_writable=False),
    Field("task:Mileage", TEXT),
    Field("task:Owner", TEXT, is_writable=False),
    Field("task:PercentComplete", NUMBER),
    Field("task:Recurrence", RECURRENCE, is_long=True),
    Field("task:StartDate", DAY),
    _choice("task:Status", STATUSES),
    Field("task:StatusDescription", TEXT, is_writable=False),
    Field("task:TotalWork", WHOLE),
]
_MESSAGE = [
    Field("message:Sender", MAILBOX),
    *_some("message", MAILBOXES, "ToRecipients CcRecipients BccRecipients", is_long=True),
    *_some("message", BOOL, "IsReadReceiptRequested IsDeliveryReceiptRequested"),
    Field("message:ConversationIndex", BINARY, is_writable=False),
    Field("message:ConversationTopic", TEXT, is_writable=False),
    Field("message:From", MAILBOX),
    Field("message:InternetMessageId", TEXT),
    *_some("message", BOOL, "IsRead IsResponseRequested"),
    Field("message:References", TEXT),
    Field("message:ReplyTo", MAILBOXES, is_long=True),
    *_some("message", MAILBOX, "ReceivedBy ReceivedRepresenting", is_writable=False),
    Field("message:ReminderMessageData", MADE, is_writable=False),
]
# Of kinds of items that are not played: they may be asked for, and nothing has them.
_ELSEWHERE = [
    *_some("distributionlist", MADE, "Members", is_writable=False),
    *_some("meeting", MADE, "AssociatedCalendarItemId IsDelegated IsOutOfDate HasBeenProcessed ResponseType ProposedStart ProposedEnd",
           is_writable=False),
    *_some("meetingRequest", MADE, "MeetingRequestType IntendedFreeBusyStatus", is_writable=False),
    *_some("postitem", MADE, "PostedTime", is_writable=False),
]  # fmt: skip
FIELDS = {field.uri: field for field in (*_ITEM, *_CONTACT, *_EVENT, *_TASK, *_MESSAGE, *_ELSEWHERE)}
# Which property an element of an item is, by kind of item.
BY_ELEMENT = {
    kind: {f.element: f for f in (*_ITEM, *own) if f.uri not in INDEXED}
    for kind, own in ((CONTACT, _CONTACT), (EVENT, _EVENT), (TASK, _TASK), (MESSAGE, _MESSAGE))
}
CONTAINERS = {container for container, _ in INDEXED.values()}
# What a default shape tells beside the id.
DEFAULT = {
    CONTACT: ("item:HasAttachments", "item:Culture", "contacts:FileAs", "contacts:DisplayName", "contacts:CompanyName",
              "contacts:JobTitle"),
    EVENT: ("item:Subject", "item:HasAttachments", "calendar:Start", "calendar:End", "calendar:LegacyFreeBusyStatus", "calendar:Location",
            "calendar:CalendarItemType", "calendar:Organizer", "calendar:RequiredAttendees", "calendar:OptionalAttendees"),
    TASK: ("item:Subject", "item:HasAttachments", "task:DueDate", "task:PercentComplete", "task:StartDate", "task:Status"),
    MESSAGE: ("item:Subject", "item:Sensitivity", "item:Body", "item:Attachments", "item:Size", "item:DateTimeSent", "item:DateTimeCreated",
              "item:HasAttachments", "message:ToRecipients", "message:CcRecipients", "message:From", "message:IsRead"),
}  # fmt: skip
DEFAULTS = {"item:Sensitivity": "Normal", "item:Importance": "Normal", "item:ReminderIsSet": False}
DEFAULTS_OF: dict[str, dict[str, object]] = {
    CONTACT: {},
    EVENT: {"calendar:LegacyFreeBusyStatus": "Busy", "calendar:IsAllDayEvent": False, "item:ReminderMinutesBeforeStart": 15,
            "calendar:IsResponseRequested": True, "calendar:AllowNewTimeProposal": True},
    TASK: {"task:Status": "NotStarted", "task:PercentComplete": 0},
    MESSAGE: {"message:IsRead": False, "message:IsReadReceiptRequested": False, "message:IsDeliveryReceiptRequested": False},
}  # fmt: skip


def is_of(uri: str, kind: str) -> bool:
    """Tells whether items of a kind have a property."""
    return uri.partition(":")[0] in ("item", KINDS[kind])


def entry_key(uri: str, index: str) -> str:
    """Returns the key under which the entry of an indexed property is kept."""
    return f"{uri}/{index}"
