"""Recurrences as EWS writes them, in the form that the sandbox's own arithmetic of series knows (microsoft/recurrence.py)."""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

from connectors.sandbox.exchange.refusal import Refused, invalid
from connectors.sandbox.exchange.soap import name_of, needed, number, t, text_of
from connectors.sandbox.microsoft import recurrence
from connectors.sandbox.microsoft.recurrence import DAYS, Recurrence
from connectors.sandbox.microsoft.refusal import Refused as Impossible

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_PATTERNS = {
    "DailyRecurrence": "daily", "WeeklyRecurrence": "weekly", "AbsoluteMonthlyRecurrence": "absoluteMonthly",
    "RelativeMonthlyRecurrence": "relativeMonthly", "AbsoluteYearlyRecurrence": "absoluteYearly",
    "RelativeYearlyRecurrence": "relativeYearly",
}  # fmt: skip
_ELEMENTS = {type_: name for name, type_ in _PATTERNS.items()}
_REGENERATIONS = ("DailyRegeneration", "WeeklyRegeneration", "MonthlyRegeneration", "YearlyRegeneration")  # of tasks, not played
_RANGES = {"NoEndRecurrence": "noEnd", "EndDateRecurrence": "endDate", "NumberedRecurrence": "numbered"}
_RANGE_ELEMENTS = {type_: name for name, type_ in _RANGES.items()}
# Several days by one word, as relative patterns have them.
_GROUPS = {"Day": DAYS, "Weekday": DAYS[:5], "WeekendDay": DAYS[5:]}


def read(element: Element) -> Recurrence:
    """Returns what a Recurrence element says. Raises Faulted for what the schema does not have, Refused for what makes no sense."""
    named = {name_of(each): each for each in element}
    pattern = next((each for name, each in named.items() if name in _PATTERNS), None)
    boundary = next((each for name, each in named.items() if name in _RANGES), None)
    if any(name in _REGENERATIONS for name in named):
        raise Refused("ErrorCalendarInvalidRecurrence", "Tasks that come again when they are done are not played.")
    if pattern is None or boundary is None or len(named) != 2:
        raise invalid("The element 'Recurrence' has incomplete content: a pattern and a range are expected.")
    try:
        return recurrence.read({"pattern": _pattern(pattern), "range": _range(boundary)})
    except Impossible as error:
        raise Refused("ErrorCalendarInvalidRecurrence", error.message) from None


def _pattern(element: Element) -> dict[str, Any]:
    given: dict[str, Any] = {"type": _PATTERNS[name_of(element)]}
    for each in element:
        name, text = name_of(each), text_of(each).strip()
        if name in ("Interval", "DayOfMonth"):
            given[name[0].lower() + name[1:]] = number(text, name, least=1, most=999)
        elif name == "DaysOfWeek":
            given["daysOfWeek"] = [day for word in text.split() for day in _GROUPS.get(word, (word.lower(),))]
        elif name == "DayOfWeekIndex":
            given["index"] = text.lower()
        elif name == "FirstDayOfWeek":
            given["firstDayOfWeek"] = text.lower()
        elif name == "Month":
            if text not in MONTHS:
                raise invalid(f"The 'Month' element is invalid - The value '{text[:40]}' is invalid according to its datatype.")
            given["month"] = MONTHS.index(text) + 1
        else:
            raise invalid(f"The element '{name_of(element)}' has invalid child element '{name[:80]}'.")
    return given


def _range(element: Element) -> dict[str, Any]:
    type_ = _RANGES[name_of(element)]
    given: dict[str, Any] = {"type": type_, "startDate": _day(needed(element, "StartDate"))}
    if type_ == "endDate":
        given["endDate"] = _day(needed(element, "EndDate"))
    elif type_ == "numbered":
        given["numberOfOccurrences"] = number(text_of(needed(element, "NumberOfOccurrences")), "NumberOfOccurrences", least=1)
    return given


def _day(element: Element) -> str:
    """Returns a day, which may be written with an offset or a time behind it: `2026-12-01Z`."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:T[\d:.]+)?(?:Z|[+-]\d\d:\d\d)?", text_of(element).strip())
    if match is None:
        raise invalid(f"The '{name_of(element)}' element is invalid - The value '{text_of(element)[:40]}' is no date.")
    return match[1]


# --- writing ------------------------------------------------------------------------------------------------------------
def shown(given: Recurrence) -> Element:
    """Returns the Recurrence element."""
    pattern, range_ = given["pattern"], given["range"]
    parts = [t(_title(name), text=text) for name, text in _pattern_parts(pattern)]
    rest = [t("StartDate", text=f"{range_['startDate']}Z")]
    if range_["type"] == "endDate":
        rest.append(t("EndDate", text=f"{range_['endDate']}Z"))
    elif range_["type"] == "numbered":
        rest.append(t("NumberOfOccurrences", text=range_["numberOfOccurrences"]))
    return t("Recurrence", t(_ELEMENTS[pattern["type"]], *parts), t(_RANGE_ELEMENTS[range_["type"]], *rest))


def _pattern_parts(pattern: dict[str, Any]) -> list[tuple[str, object]]:
    type_ = pattern["type"]
    parts: list[tuple[str, object]] = [] if type_.endswith("Yearly") else [("interval", pattern["interval"])]
    if type_ in ("relativeMonthly", "relativeYearly"):
        parts += [("daysOfWeek", _days(pattern["daysOfWeek"])), ("dayOfWeekIndex", _title(pattern["index"]))]
    elif type_ == "weekly":
        parts += [("daysOfWeek", " ".join(map(_title, pattern["daysOfWeek"]))), ("firstDayOfWeek", _title(pattern["firstDayOfWeek"]))]
    elif type_.startswith("absolute"):
        parts.append(("dayOfMonth", pattern["dayOfMonth"]))
    return [*parts, ("month", MONTHS[pattern["month"] - 1])] if type_.endswith("Yearly") else parts


def _days(days: list[str]) -> str:
    """Returns the one word that relative patterns have for their days."""
    group = next((name for name, members in _GROUPS.items() if set(members) == set(days)), None)
    return group or _title(days[0])


def _title(word: str) -> str:
    return word[:1].upper() + word[1:]
