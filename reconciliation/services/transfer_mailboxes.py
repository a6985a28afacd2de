"""Settings of mailboxes in a file of settings: what holds for all of them, by heading, groups, and the days of calendars. A saved view
is another one in another organisation, and stays behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from reconciliation.core.mailbox_settings import EVERYTHING, MINE, SECTIONS, SETTINGS, is_valid
from reconciliation.engine.mailbox_terms import ADMIN
from reconciliation.models import MailboxGroup, SyncPass
from reconciliation.services.mailbox_groups import group_save
from reconciliation.services.mailbox_overview import settings_row
from reconciliation.services.mailbox_settings import rules_save, text_of, value_of, window_of, window_save

MOST_GROUPS = 200
VIEW = "view"


def exported() -> dict[str, Any]:
    """Returns what is set for mailboxes, as texts; what is as shipped is not named."""
    row, days = settings_row(), window_of()
    said: Mapping[str, Any] = (row.settings.get(ADMIN) or {}) if row is not None else {}
    rules = [
        {"name": name, "value": text_of(rule["value"]), "is_locked": bool(rule.get("is_locked"))}
        for name, rule in sorted(said.items())
        if isinstance(rule, Mapping) and is_valid(name, rule.get("value")) and _may_leave(name, rule["value"])
    ]
    groups = [{"name": group.name, "settings": _of_group(group)} for group in MailboxGroup.objects.order_by("name")[:MOST_GROUPS]]
    return {"settings": rules, "groups": groups, "days": [days.back, days.ahead] if days is not None else []}


def _of_group(group: MailboxGroup) -> list[dict[str, str]]:
    known = {name: value for name, value in group.settings.items() if is_valid(name, value) and _may_leave(name, value)}
    return [{"name": name, "value": text_of(value)} for name, value in sorted(known.items())]


def _may_leave(name: str, value: Any) -> bool:
    return name != VIEW or value in (MINE, EVERYTHING)


@dataclass(frozen=True, slots=True)
class Found:
    """What a file would change under one heading, in (setting, before, after), and what carries it out."""

    title: str
    lines: list[tuple[str, Any, Any]]
    apply: Callable[[AbstractBaseUser | None], object]


@dataclass(slots=True)
class Wanted:
    """What an import of settings of mailboxes comes to."""

    found: list[Found] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def plan(content: Mapping[str, Any]) -> Wanted:
    """Returns what the file would change here. Raises MailboxRefused for a value that no setting has. Stores nothing."""
    wanted, row = Wanted(), settings_row()
    if row is None:
        if any(content.values()):
            wanted.left_out.append("Settings of mailboxes: no pass goes over mailboxes here; connect Salesforce and a mail system first.")
        return wanted
    wanted.found += _rules(row, content["settings"])
    wanted.found += [_group(group) for group in content["groups"]]
    if content["days"]:
        days = window_of()
        if days is None:
            wanted.left_out.append("Days of calendars: no pass goes over calendars here.")
        else:
            wanted.found.append(_days((days.back, days.ahead), content["days"]))
    return wanted


def _rules(row: SyncPass, rules: Sequence[Mapping[str, Any]]) -> list[Found]:
    """Returns the settings for all mailboxes under their headings. What the file does not name stays as it is."""
    said, by_section = row.settings.get(ADMIN) or {}, dict[str, list[Mapping[str, Any]]]()
    for rule in rules:
        value_of(rule["name"], rule["value"])
        by_section.setdefault(SETTINGS[rule["name"]].section, []).append(rule)
    found = []
    for section in SECTIONS:
        if some := by_section.get(section):
            lines = [line for rule in some if (line := _line(rule, said.get(rule["name"]) or {})) is not None]
            values = {rule["name"]: (rule["value"], rule["is_locked"]) for rule in some}
            found.append(Found(f"Mailboxes: {section}", lines, lambda by, values=values: rules_save(row, values, by)))  # type: ignore[misc]
    return found


def _line(rule: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[str, str, str] | None:
    setting = SETTINGS[rule["name"]]
    now = (before.get("value", setting.shipped), bool(before.get("is_locked")))
    after = (value_of(setting.name, rule["value"]), rule["is_locked"])
    return (setting.title, _says(setting.name, *now), _says(setting.name, *after)) if now != after else None


def _says(name: str, value: Any, is_locked: bool = False) -> str:
    said = next((title for known, title in SETTINGS[name].choices if known == value), str(value))
    return f"{said} (locked)" if is_locked else said


def _group(group: Mapping[str, Any]) -> Found:
    values = {rule["name"]: value_of(rule["name"], rule["value"]) for rule in group["settings"]}
    row = MailboxGroup.objects.filter(name=group["name"]).first()
    before = row.settings if row is not None else {}
    kept = {name: value for name, value in before.items() if not _may_leave(name, value) and name not in values}
    names = [name for name in SETTINGS if name not in kept and before.get(name) != values.get(name)]
    lines = [(SETTINGS[name].title, _told(name, before), _told(name, values)) for name in names]
    if row is None:
        lines.insert(0, ("group", "", "is made"))
    return Found(f"Group of mailboxes {group['name']}", lines, lambda by: group_save(row, group["name"], {**kept, **values}, by))


def _told(name: str, values: Mapping[str, Any]) -> str:
    return _says(name, values[name]) if name in values else "as set for all"


def _days(now: tuple[int, int], wanted: Sequence[int]) -> Found:
    back, ahead = wanted
    lines = [(title, a, b) for title, a, b in (("days back", now[0], back), ("days ahead", now[1], ahead)) if a != b]
    return Found("Days of calendars", lines, lambda by: window_save(back, ahead, by))
