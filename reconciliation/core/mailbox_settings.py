"""What may be set for a mailbox, and whose word counts: the admin's where it is locked, else the user's, the group's, the
admin's default, and what we ship (S4.8). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORBIDDEN, ALLOWED = "forbidden", "allowed"
KEEP, REMOVE = "keep", "remove"
LINK, ASK, CREATE = "link", "ask", "create"
PROPAGATE, RESTORE, UNLINK = "propagate", "restore", "unlink"
SKIP, BUSY_ONLY, FULL = "skip", "busy", "full"  # what becomes of a private event (C22)
NOBODY = "off"  # is made of an address that Salesforce does not know
BOTH_WAYS, INCOMING, OUTGOING = "both", "incoming", "outgoing"  # which e-mails are shared by themselves
MARKED_ONLY = "marked"  # private e-mails are saved if their user marked them
WHOLE_BODY, TEXT_ONLY, NO_BODY = "whole", "text", "none"
MINE, EVERYTHING = "mine", "everything"  # views that are there in every organisation


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set: its choices as (value, title), or none where it is free text. `warning` is shown beside the
    choice that it warns of. One that `is_for_all` only an admin sets, for every mailbox."""

    name: str
    title: str
    shipped: Any
    choices: tuple[tuple[Any, str], ...] = ()
    help_text: str = ""
    warning: str = ""
    is_for_all: bool = False

    @property
    def section(self) -> str:
        """The heading that it stands under."""
        return _SECTION_OF.get(self.name, SECTIONS[0])


# The headings that pages show settings under, in order.
SECTIONS = ("Contacts", "Calendar", "Tasks", "E-mails", "Linking", "People whom Salesforce does not know")
_SECTION_OF = {
    **dict.fromkeys(("events", "share_events", "private_events", "cancelled_events", "event_deletion", "event_removal"), "Calendar"),
    **dict.fromkeys(("tasks", "share_tasks", "private_tasks", "task_deletion", "task_removal"), "Tasks"),
    **dict.fromkeys(("emails", "share_emails", "email_direction", "private_emails", "email_bodies", "email_files"), "E-mails"),
    **dict.fromkeys(("link_opportunity", "shared_activities", "include_internal", "account_by_domain", "save_without_relation"), "Linking"),
    **dict.fromkeys(
        (
            *("resolve_mode", "resolve_smart", "resolve_all_recipients", "make_accounts", "company_from_domain"),
            *("resolve_shared", "resolve_calendar", "resolve_auto_saved"),
        ),
        SECTIONS[-1],
    ),
}

_ON_OFF = ((True, "On"), (False, "Off"))

SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("contacts", "Contacts", False, _ON_OFF, "Salesforce contacts are kept in the mailbox's folder."),
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
        # --- links, and people who are made (S4.29 to S4.41) ---
        Setting(
            "link_opportunity",
            "Link opportunities",
            False,
            _ON_OFF,
            "Related To becomes the user's own open opportunity that was made last, of a company that takes part; else the account.",
        ),
        Setting(
            "shared_activities",
            "Further people of a meeting",
            True,
            _ON_OFF,
            "Beside the main person up to 49 more are named. Switch it off where Shared Activities are off in Salesforce.",
        ),
        Setting("include_internal", "Link colleagues", False, _ON_OFF, "Colleagues whom Salesforce knows as contacts are linked, too."),
        Setting(
            "account_by_domain",
            "Account by domain",
            False,
            _ON_OFF,
            "Where nobody is known, Related To becomes the one account whose web site has the domain of the addresses.",
        ),
        Setting(
            "save_without_relation",
            "Auto-save e-mails of unknown people",
            False,
            _ON_OFF,
            "E-mails are auto-saved though Salesforce knows nobody in them.",
        ),
        Setting(
            "resolve_mode",
            "People whom Salesforce does not know",
            NOBODY,
            (
                (NOBODY, "Nobody is made"),
                ("leads", "Become leads"),
                ("contacts", "Become contacts"),
                ("person_accounts", "Become person accounts"),
            ),
            "They are filled from the signature, as far as it is certain, and listed as incomplete.",
            warning="Each unknown attendee, and the main counterpart of each e-mail, becomes a record of Salesforce.",
            is_for_all=True,
        ),
        Setting(
            "resolve_smart",
            "Smart choice (SalesforceSmartCreateUnresolvedObjects)",
            False,
            _ON_OFF,
            "A contact where the domain of the address leads to exactly one account, else a lead.",
            is_for_all=True,
        ),
        Setting(
            "resolve_all_recipients",
            "All recipients (SalesforceEmailCreateAllUnresolvedRecipients)",
            False,
            _ON_OFF,
            "Every unknown recipient of an e-mail is made, else its main counterpart alone.",
            is_for_all=True,
        ),
        Setting(
            "make_accounts",
            "Make accounts for new contacts",
            False,
            _ON_OFF,
            "Where no account has the domain of the address, one is made and named after it; free-mail domains give none.",
            is_for_all=True,
        ),
        Setting("company_from_domain", "Name the company of new leads after their domain", True, _ON_OFF, is_for_all=True),
        Setting("resolve_shared", "Make people of what users share", True, _ON_OFF, is_for_all=True),
        Setting("resolve_calendar", "Make people of meetings that are synced by themselves", True, _ON_OFF, is_for_all=True),
        Setting("resolve_auto_saved", "Make people of e-mails that are saved by themselves", True, _ON_OFF, is_for_all=True),
        Setting("events", "Calendar", False, _ON_OFF, "Meetings and appointments are kept in agreement with Salesforce events."),
        Setting(
            "share_events",
            "New events that nobody marked",
            False,
            (
                (False, "Stay in the mailbox; the category “Salesforce” shares one"),
                (True, "Are shared with Salesforce by themselves"),
            ),
            warning="If shared by themselves, everybody who may see the user's events in Salesforce sees every new one.",
        ),
        Setting(
            "private_events",
            "Private events",
            SKIP,
            (
                (SKIP, "Are never in Salesforce"),
                (BUSY_ONLY, "Show in Salesforce as “Private appointment”, with their time only"),
                (FULL, "Are shared as others are"),
            ),
            warning="A private event that is shared in full is read by everybody who may see the user's events in Salesforce.",
        ),
        Setting(
            "cancelled_events",
            "A meeting that was cancelled",
            REMOVE,
            ((REMOVE, "Is deleted in Salesforce"), (KEEP, "Stays in Salesforce")),
        ),
        Setting(
            "event_deletion",
            "Deleting an event in the mailbox",
            UNLINK,
            (
                (UNLINK, "Salesforce keeps it"),
                (PROPAGATE, "It is deleted in Salesforce, too"),
                (RESTORE, "Forbidden: it is made again in the mailbox, unless others were invited"),
            ),
        ),
        Setting(
            "event_removal",
            "Deleting an event in Salesforce",
            UNLINK,
            (
                (UNLINK, "The mailbox keeps it, without the category"),
                (PROPAGATE, "It is deleted in the mailbox, too, unless others were invited"),
                (RESTORE, "Forbidden: it is made again in Salesforce"),
            ),
        ),
        # --- e-mails (S4.1, S4.19 to S4.21) ---
        Setting("tasks", "Tasks", False, _ON_OFF, "Tasks of the mailbox are kept in agreement with Salesforce tasks."),
        Setting(
            "share_tasks",
            "New tasks that nobody marked",
            False,
            (
                (False, "Stay in the mailbox; the category “Salesforce” or the list “Salesforce Tasks” shares one"),
                (True, "Are shared with Salesforce by themselves"),
            ),
            warning="If shared by themselves, everybody who may see the user's tasks in Salesforce sees every new one.",
        ),
        Setting(
            "task_deletion",
            "Deleting a task in the mailbox",
            UNLINK,
            (
                (UNLINK, "Salesforce keeps it"),
                (PROPAGATE, "It is deleted in Salesforce, too"),
                (RESTORE, "Forbidden: it is made again in the mailbox"),
            ),
        ),
        Setting(
            "task_removal",
            "Deleting a task in Salesforce",
            UNLINK,
            (
                (UNLINK, "The mailbox keeps it, without the category"),
                (PROPAGATE, "It is deleted in the mailbox, too"),
                (RESTORE, "Forbidden: it is made again in Salesforce"),
            ),
        ),
        Setting(
            "emails",
            "E-mails",
            False,
            _ON_OFF,
            "E-mails with the category “Salesforce”, or in the folder “Salesforce Emails”, are saved in Salesforce, once each.",
        ),
        Setting(
            "share_emails",
            "New e-mails that nobody marked",
            False,
            (
                (False, "Stay in the mailbox; category, folder and “Save now” share one, a followed conversation its new ones"),
                (True, "Are shared with Salesforce by themselves"),
            ),
            "What comes into the Inbox and what is sent, from the moment on at which this is chosen.",
            warning="If shared by themselves, everybody who may see the activities of a contact in Salesforce reads every new e-mail "
            "with that contact. A preview shows which they are.",
        ),
        Setting(
            "email_direction",
            "Which e-mails are shared by themselves",
            BOTH_WAYS,
            ((BOTH_WAYS, "Those that come in and those that go out"), (INCOMING, "Those that come in"), (OUTGOING, "Those that go out")),
        ),
        Setting(
            "private_emails",
            "E-mails that are called private or confidential",
            SKIP,
            ((SKIP, "Are saved by “Save now” only"), (MARKED_ONLY, "Are saved if their user marks them")),
        ),
        Setting(
            "email_bodies",
            "What an e-mail says",
            WHOLE_BODY,
            ((WHOLE_BODY, "Is saved as it looks, and as text"), (TEXT_ONLY, "Is saved as text"), (NO_BODY, "Stays in the mailbox")),
        ),
        Setting(
            "email_files",
            "Files attached to an e-mail",
            0,
            (
                (0, "Stay in the mailbox"),
                (1_000_000, "Are saved, up to 1 MB each"),
                (5_000_000, "Are saved, up to 5 MB each"),
                (10_000_000, "Are saved, up to 10 MB each"),
                (25_000_000, "Are saved, up to 25 MB each"),
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
    if setting.is_for_all:
        return Effective(setting, rule if is_valid(name, rule) else setting.shipped, "admin")
    if is_valid(name, own.get(name)):
        return Effective(setting, own[name], "user")
    if is_valid(name, group.get(name)):
        return Effective(setting, group[name], "group")
    if is_valid(name, rule):
        return Effective(setting, rule, "default")
    return Effective(setting, setting.shipped, "shipped")


def all_effective(*, admin: Mapping[str, Any], group: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Effective]:
    return {name: effective(name, admin=admin, group=group, own=own) for name in SETTINGS}
