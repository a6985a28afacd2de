"""What people set for mailboxes: an admin for all of them, with a lock or as a default, a group, and each user for their own
(S4.8); and how new contacts are made in the CRM (S1.19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from connectors.contract import SavedView, ViewTerms
from reconciliation.core.counting import counted
from reconciliation.core.mailbox_settings import EVERYTHING, MINE, REMOVE, SECTIONS, SETTINGS, Effective, Setting, is_valid
from reconciliation.defaults.events import EVENTS_PASS
from reconciliation.engine import item_terms
from reconciliation.engine.mailbox_queue import wake
from reconciliation.engine.mailbox_terms import ADMIN, CREATION, effective_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, Mailbox, MailboxGroup, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.passes.contacts import CONTACT
from reconciliation.services.audit import audit
from reconciliation.services.mailboxes import MailboxRefused

UNSET = ""  # as a form says it: what the next one in line says
MOST_FIELDS = 50
STANDARD_VIEWS = ((MINE, "My Contacts"), (EVERYTHING, "All Contacts"))


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a setting as a form shows it."""

    text: str
    title: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as a page shows it to somebody who may choose. `held` is what holds now, `falls_back` what would hold
    without a choice of theirs."""

    setting: Setting
    held: Effective
    options: tuple[Option, ...]
    is_locked: bool = False
    falls_back: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether what holds is what the setting warns of."""
        return bool(self.setting.warning) and self.held.value != self.setting.shipped


@dataclass(frozen=True, slots=True)
class ViewChoices:
    """The views that a mailbox can show. `trouble` says why the saved ones could not be read, "" when they were."""

    saved: tuple[SavedView, ...] = ()
    trouble: str = ""

    def pairs(self, chosen: str) -> list[tuple[str, str]]:
        """Returns (value, title) of every view, the standard ones first; the chosen one is among them although it is gone."""
        found = [*STANDARD_VIEWS, *((v.id, v.title) for v in self.saved if v.is_usable and v.title not in dict(STANDARD_VIEWS).values())]
        if chosen and chosen not in dict(found):
            found.append((chosen, f"View {chosen}"))
        return found


def text_of(value: Any) -> str:
    """Returns how a form says a value."""
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def value_of(name: str, text: str) -> Any:
    """Returns the value that a form says. Raises MailboxRefused."""
    setting = SETTINGS.get(name)
    if setting is None:
        raise MailboxRefused(f"There is no setting “{name[:40]}”.")
    value = next((known for known, _ in setting.choices if text_of(known) == text), text if not setting.choices else None)
    if not is_valid(name, value):
        raise MailboxRefused(f"“{text[:40]}” is no choice of “{setting.title}”.")
    return value


# --- for all mailboxes ----------------------------------------------------------------------------------------------


def rules_of(sync_pass: SyncPass, views: ViewChoices) -> list[Line]:
    """Returns what an admin set for all mailboxes, or what is shipped."""
    said = sync_pass.whole.settings.get(ADMIN) or {}
    lines = []
    for name, setting in SETTINGS.items():
        rule = said.get(name) or {}
        value = rule.get("value") if is_valid(name, rule.get("value")) else setting.shipped
        held = Effective(setting, value, "default" if name in said else "shipped")
        lines.append(Line(setting, held, _options(setting, value, views), bool(rule.get("is_locked"))))
    return lines


def rules_save(sync_pass: SyncPass, wanted: Mapping[str, tuple[str, bool]], by: AbstractBaseUser) -> list[str]:
    """Stores (value, whether it is locked) of each setting for all mailboxes and returns the titles of what changed. Raises
    MailboxRefused, storing nothing."""
    values = {name: {"value": value_of(name, text), "is_locked": is_locked} for name, (text, is_locked) in wanted.items()}
    whole = sync_pass.whole
    with transaction.atomic():
        row = SyncPass.objects.select_for_update().get(pk=whole.pk)
        before = row.settings.get(ADMIN) or {}
        changed = {name: [before.get(name), rule] for name, rule in values.items() if {**_shipped(name), **before.get(name, {})} != rule}
        if changed:
            row.settings = {**row.settings, ADMIN: {**before, **values}}
            row.save(update_fields=["settings"])
            _tell_other_passes(row)
            audit(by, "change mailbox settings", whole.title, **changed)
    if changed:
        wake(Mailbox.objects.filter(state__in=Mailbox.RUNNING).values_list("pk", flat=True))
    return [SETTINGS[name].title for name in changed]


def _tell_other_passes(row: SyncPass) -> None:
    """Lets what an admin set hold for every pass over mailboxes."""
    for other in SyncPass.objects.select_for_update().filter(name__in=MAILBOX_PASSES).exclude(pk=row.pk):
        other.settings = {**other.settings, ADMIN: row.settings[ADMIN]}
        other.save(update_fields=["settings"])


def _shipped(name: str) -> dict[str, Any]:
    return {"value": SETTINGS[name].shipped, "is_locked": False}


def _options(setting: Setting, chosen: Any, views: ViewChoices) -> tuple[Option, ...]:
    pairs = setting.choices or views.pairs(str(chosen or ""))
    return tuple(Option(text_of(value), title, value == chosen) for value, title in pairs)


# --- which days of calendars are looked at --------------------------------------------------------------------------

MOST_BACK, MOST_AHEAD = 365, 730  # days


@dataclass(frozen=True, slots=True)
class Days:
    """How many days of each calendar are looked at, before today and ahead."""

    back: int
    ahead: int
    most_back: int = MOST_BACK
    most_ahead: int = MOST_AHEAD


def window_of() -> Days | None:
    """Returns the days that are looked at, None before there is a pass over calendars."""
    row = SyncPass.objects.whole().filter(name=EVENTS_PASS).first()
    return Days(*item_terms.days_of(row)) if row is not None else None


def window_save(back: int | None, ahead: int | None, by: AbstractBaseUser) -> bool:
    """Stores which days of calendars are looked at; returns whether that changed anything. Raises MailboxRefused, storing nothing."""
    if back is None or ahead is None or back > MOST_BACK or not 1 <= ahead <= MOST_AHEAD:
        raise MailboxRefused(f"Enter whole numbers: at most {MOST_BACK} days back, and 1 to {MOST_AHEAD} days ahead.")
    with transaction.atomic():
        row = SyncPass.objects.select_for_update().filter(name=EVENTS_PASS, parent=None).first()
        if row is None:
            raise MailboxRefused("No pass goes over calendars yet; connect Salesforce and a mail system first.")
        before, after = item_terms.days_of(row), (back, ahead)
        if before == after:
            return False
        row.settings = {**row.settings, item_terms.WINDOW: {"back": back, "ahead": ahead}}
        row.save(update_fields=["settings"])
        audit(by, "change days of calendars", row.title, back=[before[0], back], ahead=[before[1], ahead])
    wake(Mailbox.objects.filter(state__in=Mailbox.RUNNING).values_list("pk", flat=True))
    return True


# --- for one mailbox, or a group ------------------------------------------------------------------------------------


def lines_of(sync_pass: SyncPass, mailbox: Mailbox, views: ViewChoices) -> list[Line]:
    """Returns the settings of a mailbox as its user may choose them."""
    held = effective_of(sync_pass, mailbox)
    without = effective_of(sync_pass, Mailbox(group=mailbox.group))
    return [
        Line(
            SETTINGS[name],
            now,
            _options(SETTINGS[name], mailbox.settings.get(name), views),
            now.is_locked,
            _says(without[name], views),
        )
        for name, now in held.items()
    ]


def lines_of_group(sync_pass: SyncPass, group: MailboxGroup, views: ViewChoices) -> list[Line]:
    """Returns the settings that mailboxes of a group begin with."""
    held, without = effective_of(sync_pass, Mailbox(group=group)), effective_of(sync_pass, Mailbox())
    return [
        Line(SETTINGS[name], now, _options(SETTINGS[name], group.settings.get(name), views), now.is_locked, _says(without[name], views))
        for name, now in held.items()
    ]


def _says(held: Effective, views: ViewChoices) -> str:
    return held.says if held.setting.choices else dict(views.pairs(str(held.value))).get(str(held.value), str(held.value))


def said_of(lines: Sequence[Line], views: ViewChoices) -> list[tuple[Setting, str, str]]:
    """Returns each setting, what holds and whose word that is, for pages that only show it."""
    whose = {"admin": "set by an admin", "user": "chosen for this mailbox", "group": "by its group", "default": "by default"}
    return [(line.setting, _says(line.held, views), whose.get(line.held.by, "by default")) for line in lines]


def sections_said(said: Sequence[tuple[Setting, str, str]]) -> list[tuple[str, list[tuple[Setting, str, str]]]]:
    """Returns the settings under their headings."""
    return [(title, rows) for title in SECTIONS if (rows := [row for row in said if row[0].section == title])]


def sections_of(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """Returns the lines under their headings, in the order in which pages show them."""
    return [(title, rows) for title in SECTIONS if (rows := [line for line in lines if line.setting.section == title])]


def own_save(sync_pass: SyncPass, mailbox: Mailbox, wanted: Mapping[str, str], by: AbstractBaseUser) -> list[str]:
    """Stores what was chosen for one mailbox, UNSET taking a choice back, and returns the titles of what changed. A setting
    that an admin locked is refused. Raises MailboxRefused, storing nothing."""
    held = effective_of(sync_pass, mailbox)
    with transaction.atomic():
        row = Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        before, after = dict(row.settings), _chosen(row.settings, wanted)
        changed = {name: [before.get(name), after.get(name)] for name in wanted if before.get(name) != after.get(name)}
        for name in changed:
            if held[name].is_locked:
                raise MailboxRefused(f"“{SETTINGS[name].title}” is set by an admin for all mailboxes. Nothing was saved.")
        if changed:
            row.settings = after
            row.save(update_fields=["settings"])
            audit(by, "change settings of mailbox", mailbox.address, **changed)
    mailbox.settings = after
    if changed:
        wake([mailbox.pk])
    return [SETTINGS[name].title for name in changed]


def group_settings(wanted: Mapping[str, str]) -> dict[str, Any]:
    """Returns settings as a group stores them. Raises MailboxRefused."""
    return _chosen({}, wanted)


def _chosen(before: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, Any]:
    after = dict(before)
    for name, text in wanted.items():
        if text == UNSET:
            after.pop(name, None)
        else:
            after[name] = value_of(name, text)
    return after


def view_for_all(sync_pass: SyncPass, mailbox: Mailbox) -> str:
    """Returns the view that a mailbox shows where its user chooses none."""
    return str(effective_of(sync_pass, Mailbox(group=mailbox.group))["view"].value)


# --- views ----------------------------------------------------------------------------------------------------------


def views_read(crm: Connection, wiring: Wiring | None = None) -> tuple[SavedView, ...]:
    """Returns the saved views of contacts that our user may see. Raises ConnectorError."""
    connector = (wiring or Wiring()).open_connector(crm)
    try:
        return tuple(connector.views(CONTACT))
    finally:
        connector.close()


def view_count(crm: Connection, view: str, crm_user_id: str, wiring: Wiring | None = None) -> int:
    """Returns how many contacts a view holds for one user of the CRM, by one call or two. Raises ConnectorError, and
    MailboxRefused for a view that cannot be told for others."""
    if not is_valid("view", view):
        raise MailboxRefused("There is no such view.")
    connector = (wiring or Wiring()).open_connector(crm)
    try:
        terms = ViewTerms(CONTACT, view, "", "") if view in (MINE, EVERYTHING) else connector.view_terms(CONTACT, view)
        if not terms.is_usable:
            raise MailboxRefused(terms.why_not)
        return int(connector.count_members(CONTACT, terms, owners=[crm_user_id] if crm_user_id else []))
    finally:
        connector.close()


@dataclass(frozen=True, slots=True)
class ViewReach:
    """What a view would show in a mailbox: contacts in it, those that its folder holds now, and what becomes of ones out of view."""

    shown: int
    held: int
    out_of_view: str

    @property
    def sentence(self) -> str:
        told = f"{counted(self.shown, 'contact')} in this view now"
        if self.held <= self.shown:
            return told
        fewer = counted(self.held - self.shown, "contact")
        becomes = "would go to Deleted Items" if self.out_of_view == REMOVE else "would stay, marked as not in view"
        return f"{told}; the folder holds {self.held:,}, so at least {fewer} {becomes}"


def view_reach(parent: SyncPass, mailbox: Mailbox, view: str, wiring: Wiring | None = None) -> ViewReach:
    """Returns what a view would show in this mailbox. Raises as `view_count`."""
    shown = view_count(parent.crm, view, mailbox.crm_user_id, wiring)
    held = Binding.objects.filter(sync_pass__parent=parent, sync_pass__mailbox=mailbox, is_tombstone=False).count()
    return ViewReach(shown, held, str(effective_of(parent, mailbox)["out_of_view"].value))


# --- how new contacts are made (S1.19) ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Creation:
    """How contacts of mailboxes are made in the CRM: values where the mailbox says nothing, fields that none is made without,
    fields without which one counts as incomplete, and the one account that all belong to, "" for the company workflow."""

    defaults: Mapping[str, str]
    required: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    account_id: str = ""
    account_name: str = ""

    @property
    def required_lines(self) -> str:
        return "\n".join(self.required)

    @property
    def wanted_lines(self) -> str:
        return "\n".join(self.wanted)


def creation_of(sync_pass: SyncPass) -> Creation:
    said = sync_pass.whole.settings.get(CREATION) or {}
    defaults = {name: text_of(value) for name, value in (said.get("defaults") or {}).items()}
    fields = tuple(tuple(said.get(name) or ()) for name in ("required", "wanted"))
    return Creation(defaults, *fields, said.get("account_id") or "", said.get("account_name") or "")


def creation_save(sync_pass: SyncPass, wanted: Creation, by: AbstractBaseUser, wiring: Wiring | None = None) -> bool:
    """Stores how new contacts are made, once the CRM knows each field and the account; returns whether that changed anything.
    Raises MailboxRefused and ConnectorError, storing nothing."""
    if len(wanted.defaults) + len(wanted.required) + len(wanted.wanted) > MOST_FIELDS:
        raise MailboxRefused(f"At most {MOST_FIELDS} fields can be named here.")
    whole = sync_pass.whole
    stored = _checked(whole, wanted, wiring or Wiring())
    with transaction.atomic():
        row = SyncPass.objects.select_for_update().get(pk=whole.pk)
        before = row.settings.get(CREATION) or {}
        if before == stored:
            return False
        row.settings = {**row.settings, CREATION: stored}
        row.save(update_fields=["settings"])
        audit(by, "change how contacts are made", whole.title, before=_named(before), after=_named(stored))
    return True


def _named(said: Mapping[str, Any]) -> dict[str, Any]:
    return {**said, "defaults": sorted(said.get("defaults") or {})}


def _checked(sync_pass: SyncPass, wanted: Creation, wiring: Wiring) -> dict[str, Any]:
    connector = wiring.open_connector(sync_pass.crm)
    try:
        attributes = connector.schema(CONTACT).attributes
        defaults = {name: _typed(attributes.get(name), name, text) for name, text in wanted.defaults.items()}
        mapped = {rule.crm_field for rule in sync_pass.mapping.rules.filter(is_enabled=True)}
        for name in (*wanted.required, *wanted.wanted):
            if name not in attributes:
                raise MailboxRefused(f"Contacts of {sync_pass.crm} have no field “{name[:80]}”.")
        for name in wanted.required:
            if name not in mapped and name not in defaults:
                raise MailboxRefused(f"“{name}” cannot be required: no field of the mailbox is mapped to it, and it has no default here.")
        account = _account(connector, wanted.account_id, str(sync_pass.crm))
    finally:
        connector.close()
    return {"defaults": defaults, "required": list(wanted.required), "wanted": list(wanted.wanted), **account}


def _typed(attribute: Any, name: str, text: str) -> Any:
    if attribute is None or not attribute.is_creatable:
        raise MailboxRefused(f"Contacts have no field “{name[:80]}” that may be set when they are made.")
    if attribute.type == "boolean":
        if text.casefold() not in ("on", "off", "yes", "no", "true", "false"):
            raise MailboxRefused(f"“{name}” is yes or no; “{text[:40]}” is neither.")
        return text.casefold() in ("on", "yes", "true")
    if attribute.type in ("integer", "number"):
        try:
            return int(text) if attribute.type == "integer" else float(text)
        except ValueError:
            raise MailboxRefused(f"“{name}” is a number; “{text[:40]}” is none.") from None
    if attribute.max_length and len(text) > attribute.max_length:
        raise MailboxRefused(f"“{name}” takes {attribute.max_length} characters; the default has {len(text)}.")
    return text


def _account(connector: Any, id_: str, crm: str) -> dict[str, str]:
    if not id_:
        return {"account_id": "", "account_name": ""}
    found = [r for r in connector.read("Account", [id_], ["Name"]) if not r.is_deleted] if id_.isascii() and id_.isalnum() else []
    if not found:
        raise MailboxRefused(f"“{id_[:40]}” is the id of no account in {crm}.")
    return {"account_id": found[0].ref.id, "account_name": str(found[0].fields.get("Name") or "")[:255]}
