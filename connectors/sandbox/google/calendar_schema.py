"""What the Calendar API knows: the types of its bodies, which parts of an event only the server sets, words, sizes and scopes.

Types are written as in `schema`, taken from the reference's list of types.
"""

from __future__ import annotations

from connectors.sandbox.google.schema import SCOPE, types_of

HOST = "calendar-json.googleapis.com"
TYPES = types_of(
    {
        "ConferenceData": (
            "conferenceId conferenceSolution:ConferenceSolution createRequest:CreateConferenceRequest entryPoints:[EntryPoint] notes "
            "parameters:ConferenceParameters signature"
        ),
        "ConferenceParameters": "addOnParameters:ConferenceParametersAddOnParameters",
        "ConferenceParametersAddOnParameters": "parameters:{string}",
        "ConferenceRequestStatus": "statusCode",
        "ConferenceSolution": "iconUri key:ConferenceSolutionKey name",
        "ConferenceSolutionKey": "type",
        "CreateConferenceRequest": "conferenceSolutionKey:ConferenceSolutionKey requestId status:ConferenceRequestStatus",
        "EntryPoint": (
            "accessCode entryPointFeatures:[string] entryPointType label meetingCode passcode password pin regionCode uri"
        ),
        "Event": (
            "anyoneCanAddSelf:bool attachments:[EventAttachment] attendees:[EventAttendee] attendeesOmitted:bool "
            "birthdayProperties:EventBirthdayProperties colorId conferenceData:ConferenceData !created !creator:EventPerson description "
            "end:EventDateTime endTimeUnspecified:bool !etag eventLabelId eventType extendedProperties:EventProperties "
            "focusTimeProperties:EventFocusTimeProperties gadget:EventGadget guestsCanInviteOthers:bool guestsCanModify:bool "
            "guestsCanSeeOtherGuests:bool !hangoutLink !htmlLink iCalUID id !kind location !locked:bool organizer:EventPerson "
            "originalStartTime:EventDateTime outOfOfficeProperties:EventOutOfOfficeProperties privateCopy:bool recurrence:[string] "
            "recurringEventId reminders:EventReminders sequence:int source:EventSource start:EventDateTime status summary transparency "
            "!updated visibility workingLocationProperties:EventWorkingLocationProperties"
        ),
        "EventAttachment": "fileId fileUrl iconLink mimeType title",
        "EventAttendee": (
            "additionalGuests:int !asyncOperation comment displayName email id optional:bool !organizer:bool resource:bool "
            "responseStatus !self:bool"
        ),
        "EventBirthdayProperties": "contact customTypeName type",
        "EventDateTime": "date dateTime timeZone",
        "EventFocusTimeProperties": "autoDeclineMode chatStatus declineMessage",
        "EventGadget": "display height:int iconLink link preferences:{string} title type width:int",
        "EventOfficeLocation": "buildingId deskId floorId floorSectionId label",
        "EventOutOfOfficeProperties": "autoDeclineMode declineMessage",
        "EventPerson": "displayName email id self:bool",
        "EventProperties": "private:{string} shared:{string}",
        "EventReminder": "method minutes:int",
        "EventReminders": "overrides:[EventReminder] useDefault:bool",
        "EventSource": "title url",
        "EventCustomLocation": "label",
        "EventWorkingLocationProperties": "customLocation:EventCustomLocation homeOffice:any officeLocation:EventOfficeLocation type",
    }
)  # fmt: skip

# What stands in a row's fields. The rest of an event the server sets, or it has a place of its own in the row.
SHARED = (
    "summary", "description", "location", "start", "end", "endTimeUnspecified", "recurrence", "attendees", "status",
    "guestsCanInviteOthers", "guestsCanModify", "guestsCanSeeOtherGuests", "anyoneCanAddSelf", "source", "attachments", "conferenceData",
)  # fmt: skip
OWN = ("transparency", "visibility", "reminders", "colorId", "eventLabelId")  # of each attendee's copy
BOTH = ("extendedProperties",)  # a shared part, and one of each copy
SPECIAL = (
    "eventType", "birthdayProperties", "focusTimeProperties", "outOfOfficeProperties", "workingLocationProperties", "gadget",
)  # fmt: skip
FIELDS = (*SHARED, *OWN, *BOTH, *SPECIAL)
# What an event has without saying so: the server leaves it out of its answers.
DEFAULTS = {
    "transparency": "opaque", "visibility": "default", "guestsCanModify": False, "guestsCanInviteOthers": True,
    "guestsCanSeeOtherGuests": True, "anyoneCanAddSelf": False, "endTimeUnspecified": False,
}  # fmt: skip
CONFIRMED, CANCELLED = "confirmed", "cancelled"
STATUSES = (CONFIRMED, "tentative", CANCELLED)
RESPONSES = ("needsAction", "declined", "tentative", "accepted")
WORDS = {
    "status": STATUSES,
    "transparency": ("opaque", "transparent"),
    "visibility": ("default", "public", "private", "confidential"),
    "eventType": ("birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"),
}
EVENT_TYPES = WORDS["eventType"]
CLOSED = ("private", "confidential")
SEND_UPDATES = ("all", "externalOnly", "none")
MOST_REMINDERS, LONGEST_REMINDER = 5, 40_320  # minutes
LONGEST_KEY, LONGEST_VALUE, MOST_PROPERTIES = 44, 1024, 300
DEFAULT_PAGE, MOST_A_PAGE = 250, 2500

WRITES = frozenset((f"{SCOPE}calendar", f"{SCOPE}calendar.events"))
READS = WRITES | {f"{SCOPE}calendar.readonly"}
READS_CALENDARS = frozenset((f"{SCOPE}calendar", f"{SCOPE}calendar.readonly"))
