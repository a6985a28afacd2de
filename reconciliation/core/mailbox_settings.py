"""What may be set for a mailbox, and whose word counts: the admin's where it is locked, else the user's, the group's, the
admin's default, and what we ship (S4.8). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORBIDDEN, ALLOWED = "forbidden", "allowed"
KEEP, REMOVE = "keep", "remove"
LINK, ASK, CREATE = "link", "ask", "create"
MINE, EVERYTHING = "mine", "everything"  # views that are there in every organisation


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set: its choices as (value, title), or none where it is free text. `warning` is shown beside the
    choice that it warns of."""

    name: str
    title: str
    shipped: Any
    choices: tuple[tuple[Any, str], ...] = ()
    help_text: str = ""
    warning: str = ""


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("contacts", "Contacts", False, ((True, "On"), (False, "Off")), "Salesforce contacts are kept in the mailbox's folder."),
        Setting(
            "view",
            "Salesforce view",
            MINE,
            help_text="Which contacts the folder holds. It is evaluated as the mailbox's Salesforce user.",
        ),
        Setting(
            "deletion",
            "Deleting a contact from the folder",
            FORBIDDEN,
            (
                (FORBIDDEN, "Forbidden: the contact is made again in the folder"),
                (ALLOWED, "Allowed: the contact is deleted in Salesforce, too"),
            ),
            warning="If allowed, a contact deleted in the folder is deleted in Salesforce for everybody. It stays in the recycle bin "
            "of Salesforce for 15 days. A contact that other mailboxes hold, too, waits for a person first.",
        ),
        Setting(
            "out_of_view",
            "A contact that leaves the view",
            KEEP,
            (
                (KEEP, "Stays in the folder, marked “Salesforce: not in view”"),
                (REMOVE, "Goes to Deleted Items of the mailbox"),
            ),
        ),
        Setting(
            "existing",
            "A new contact whose e-mail address exists in Salesforce",
            LINK,
            (
                (LINK, "Link it to the one contact of the same last name, else ask"),
                (ASK, "Ask each time"),
                (CREATE, "Create it all the same"),
            ),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds for one setting of one mailbox, and who said so: admin, user, group, default or shipped."""

    setting: Setting
    value: Any
    by: str

    @property
    def is_locked(self) -> bool:
        return self.by == "admin"

    @property
    def says(self) -> str:
        return next((title for value, title in self.setting.choices if value == self.value), str(self.value))


def is_valid(name: str, value: Any) -> bool:
    """Tells whether a setting may hold the value."""
    setting = SETTINGS.get(name)
    if setting is None:
        return False
    if setting.choices:
        return any(value == known and type(value) is type(known) for known, _ in setting.choices)
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isascii() and value.isalnum()  # the id of a saved view


def effective(name: str, *, admin: Mapping[str, Any], group: Mapping[str, Any], own: Mapping[str, Any]) -> Effective:
    """Returns what holds. `admin` maps a name to {"value", "is_locked"}; values that are not valid (any more) do not count."""
    setting, said = SETTINGS[name], admin.get(name) or {}
    rule = said.get("value") if isinstance(said, Mapping) else None
    if is_valid(name, rule) and said.get("is_locked"):
        return Effective(setting, rule, "admin")
    if is_valid(name, own.get(name)):
        return Effective(setting, own[name], "user")
    if is_valid(name, group.get(name)):
        return Effective(setting, group[name], "group")
    if is_valid(name, rule):
        return Effective(setting, rule, "default")
    return Effective(setting, setting.shipped, "shipped")


def all_effective(*, admin: Mapping[str, Any], group: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Effective]:
    return {name: effective(name, admin=admin, group=group, own=own) for name in SETTINGS}
