"""Time zones as Outlook names them: the Windows names that are common, and IANA's. What is read keeps Windows names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from connectors.sandbox.microsoft.refusal import bad_request

# By Windows name: the zone it stands for, then others that read as this name.
_OF_WINDOWS = {
    "UTC": ("Etc/UTC", "UTC", "Etc/GMT", "GMT", "Zulu"),
    "Dateline Standard Time": ("Etc/GMT+12",),
    "Hawaiian Standard Time": ("Pacific/Honolulu",),
    "Alaskan Standard Time": ("America/Anchorage",),
    "Pacific Standard Time": ("America/Los_Angeles", "America/Vancouver", "US/Pacific"),
    "US Mountain Standard Time": ("America/Phoenix",),
    "Mountain Standard Time": ("America/Denver", "America/Edmonton", "US/Mountain"),
    "Central Standard Time": ("America/Chicago", "America/Winnipeg", "US/Central"),
    "Central Standard Time (Mexico)": ("America/Mexico_City",),
    "Canada Central Standard Time": ("America/Regina",),
    "SA Pacific Standard Time": ("America/Bogota", "America/Lima"),
    "Eastern Standard Time": ("America/New_York", "America/Toronto", "US/Eastern"),
    "US Eastern Standard Time": ("America/Indianapolis", "America/Indiana/Indianapolis"),
    "Atlantic Standard Time": ("America/Halifax",),
    "Pacific SA Standard Time": ("America/Santiago",),
    "Newfoundland Standard Time": ("America/St_Johns",),
    "E. South America Standard Time": ("America/Sao_Paulo",),
    "Argentina Standard Time": ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    "UTC-02": ("Etc/GMT+2",),
    "Azores Standard Time": ("Atlantic/Azores",),
    "GMT Standard Time": ("Europe/London", "Europe/Dublin", "Europe/Lisbon"),
    "Greenwich Standard Time": ("Atlantic/Reykjavik",),
    "Morocco Standard Time": ("Africa/Casablanca",),
    "W. Europe Standard Time": ("Europe/Berlin", "Europe/Amsterdam", "Europe/Rome", "Europe/Stockholm", "Europe/Vienna", "Europe/Zurich",
                                "Europe/Oslo", "Europe/Luxembourg"),
    "Central Europe Standard Time": ("Europe/Budapest", "Europe/Prague", "Europe/Belgrade", "Europe/Bratislava", "Europe/Ljubljana"),
    "Romance Standard Time": ("Europe/Paris", "Europe/Brussels", "Europe/Copenhagen", "Europe/Madrid"),
    "Central European Standard Time": ("Europe/Warsaw", "Europe/Zagreb", "Europe/Sarajevo", "Europe/Skopje"),
    "W. Central Africa Standard Time": ("Africa/Lagos",),
    "GTB Standard Time": ("Europe/Bucharest", "Europe/Athens"),
    "FLE Standard Time": ("Europe/Kiev", "Europe/Kyiv", "Europe/Helsinki", "Europe/Riga", "Europe/Sofia", "Europe/Tallinn",
                          "Europe/Vilnius"),
    "Egypt Standard Time": ("Africa/Cairo",),
    "South Africa Standard Time": ("Africa/Johannesburg",),
    "Israel Standard Time": ("Asia/Jerusalem",),
    "Turkey Standard Time": ("Europe/Istanbul",),
    "Arab Standard Time": ("Asia/Riyadh", "Asia/Kuwait"),
    "E. Africa Standard Time": ("Africa/Nairobi",),
    "Russian Standard Time": ("Europe/Moscow",),
    "Iran Standard Time": ("Asia/Tehran",),
    "Arabian Standard Time": ("Asia/Dubai",),
    "Afghanistan Standard Time": ("Asia/Kabul",),
    "Pakistan Standard Time": ("Asia/Karachi",),
    "India Standard Time": ("Asia/Calcutta", "Asia/Kolkata"),
    "Nepal Standard Time": ("Asia/Katmandu", "Asia/Kathmandu"),
    "Bangladesh Standard Time": ("Asia/Dhaka",),
    "SE Asia Standard Time": ("Asia/Bangkok", "Asia/Jakarta", "Asia/Ho_Chi_Minh"),
    "China Standard Time": ("Asia/Shanghai", "Asia/Hong_Kong"),
    "Singapore Standard Time": ("Asia/Singapore", "Asia/Kuala_Lumpur", "Asia/Manila"),
    "Taipei Standard Time": ("Asia/Taipei",),
    "W. Australia Standard Time": ("Australia/Perth",),
    "Tokyo Standard Time": ("Asia/Tokyo",),
    "Korea Standard Time": ("Asia/Seoul",),
    "Cen. Australia Standard Time": ("Australia/Adelaide",),
    "AUS Central Standard Time": ("Australia/Darwin",),
    "E. Australia Standard Time": ("Australia/Brisbane",),
    "AUS Eastern Standard Time": ("Australia/Sydney", "Australia/Melbourne"),
    "Tasmania Standard Time": ("Australia/Hobart",),
    "New Zealand Standard Time": ("Pacific/Auckland",),
}  # fmt: skip
_IANA = {windows.casefold(): names[0] for windows, names in _OF_WINDOWS.items()}
_WINDOWS = {name: windows for windows, names in _OF_WINDOWS.items() for name in names}
_SPELLED = {windows.casefold(): windows for windows in _OF_WINDOWS}
WINDOWS_NAMES = tuple(_OF_WINDOWS)


def read_zone(name: str) -> str:
    """Returns the zone that a Windows or IANA name means, by IANA's name. Raises Refused for a name that is none."""
    known = _IANA.get(name.casefold(), name)
    if _zone(known) is None:
        told = f"A valid TimeZone value must be specified. The following TimeZone value is not supported: '{name[:80]}'."
        raise bad_request(told, "TimeZoneNotSupportedException")
    return known


def shown_name(name: str) -> str:
    """Returns what a name that was written reads as: the Windows name, where it is known."""
    return _SPELLED.get(name.casefold()) or _WINDOWS.get(name, name)


@lru_cache
def _zone(iana: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(iana)
    except (KeyError, ValueError, OSError):
        return None


def to_utc(wall: datetime, iana: str) -> datetime:
    """Returns the instant at which clocks of a zone show a time; of an hour that comes twice its first, one that the clocks
    skip is read by the time before. At the ends of the calendar it is the last instant there is."""
    try:
        return wall.replace(tzinfo=_zone(iana), fold=0).astimezone(UTC)
    except OverflowError:
        return wall.replace(tzinfo=UTC)


def to_wall(at: datetime, iana: str) -> datetime:
    """Returns what clocks of a zone show at an instant."""
    try:
        return at.astimezone(_zone(iana)).replace(tzinfo=None, fold=0)
    except OverflowError:
        return at.replace(tzinfo=None)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def is_midnight(wall: datetime) -> bool:
    return wall - midnight(wall.date()) == timedelta()
