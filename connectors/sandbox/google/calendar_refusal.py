"""What the played Calendar refuses, in the older shape, with the place that is at fault."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.google.refusal import Refused


class CalendarRefused(Refused):
    """A refusal of Calendar: `reason` stands in its one error, with where it was found."""

    def __init__(self, status: int, reason: str, message: str, *, domain: str = "global", parameter: str = "", header: str = "") -> None:
        super().__init__(status, message, old_reason=reason)
        self._domain, self._parameter, self._header = domain, parameter, header

    def older(self) -> dict[str, Any]:
        error: dict[str, str] = {"domain": self._domain, "reason": self.old_reason, "message": self.message}
        if self._parameter or self._header:
            error |= {"locationType": "parameter" if self._parameter else "header", "location": self._parameter or self._header}
        return {"error": {"errors": [error], "code": self.status, "message": self.message}}


def invalid(message: str, *, parameter: str = "") -> CalendarRefused:
    return CalendarRefused(400, "invalid", message, parameter=parameter)


def required(message: str) -> CalendarRefused:
    return CalendarRefused(400, "required", message)


def bad_request(message: str = "Bad Request") -> CalendarRefused:
    return CalendarRefused(400, "badRequest", message)


def not_found() -> CalendarRefused:
    return CalendarRefused(404, "notFound", "Not Found")


def deleted() -> CalendarRefused:
    return CalendarRefused(410, "deleted", "Resource has been deleted")


def duplicate() -> CalendarRefused:
    return CalendarRefused(409, "duplicate", "The requested identifier already exists.")


def stale() -> CalendarRefused:
    return CalendarRefused(412, "conditionNotMet", "Precondition Failed", header="If-Match")


def full_sync_required() -> CalendarRefused:
    told = "Sync token is no longer valid, a full sync is required."
    return CalendarRefused(410, "fullSyncRequired", told, domain="calendar", parameter="syncToken")


def updated_min_too_long_ago() -> CalendarRefused:
    told = "The requested minimum modification time lies too far in the past."
    return CalendarRefused(410, "updatedMinTooLongAgo", told, domain="calendar", parameter="updatedMin")


def empty_range() -> CalendarRefused:
    return CalendarRefused(400, "timeRangeEmpty", "The specified time range is empty.", domain="calendar", parameter="timeMax")


def not_the_organizer() -> CalendarRefused:
    told = "Shared properties can only be changed by the organizer of the event."
    return CalendarRefused(403, "forbiddenForNonOrganizer", told, domain="calendar")
