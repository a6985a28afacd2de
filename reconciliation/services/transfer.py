"""Settings of one site carried to another: mappings, schedules with their brakes, record types, the plugin's columns, the
dedupe policy, settings of mailboxes and of their groups, roles, retention.

No secret and no address is in the file: connections are named only. Whether a pass is switched on is not in it either:
that is decided where it runs. A file is text from outside until every key, type and bound of it was checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, Group, Permission
from django.db import transaction
from django.utils import timezone

from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.mailbox_settings import SETTINGS as MAILBOX_SETTINGS
from reconciliation.core.mapping import Direction, Survivorship
from reconciliation.core.mapping_versions import RowDiff
from reconciliation.core.transforms import TRANSFORMS
from reconciliation.models import Connection, MappingTable, Policy, SyncPass
from reconciliation.models.mapping_version import ROW_FIELDS, rows_of
from reconciliation.roles import ROLES
from reconciliation.services import transfer_mailboxes, transfer_types
from reconciliation.services.audit import audit
from reconciliation.services.fields import FIELDS, SETTINGS, FieldsRefused, fields_are_known, fields_check, fields_choose, refuse_twice
from reconciliation.services.mailboxes import MailboxRefused
from reconciliation.services.mapping_versions import Proposal, proposal_of
from reconciliation.services.mappings import MappingRefused, check, mapping_save, pass_of
from reconciliation.services.policy import PolicyRefused, dedupe_policy, policy_set
from reconciliation.services.record_types import SWITCHES, RecordTypesRefused
from reconciliation.services.retention import KEPT, Keep, RetentionRefused, retention_check, retention_of, retention_set
from reconciliation.services.schedule import Schedule, ScheduleRefused, schedule_check, schedule_of, schedule_set
from reconciliation.store import organisation_columns, person_columns

FORMAT, VERSION = "syncsite settings", 1
MOST_BYTES = 1_000_000
MOST_ROWS, MOST_LISTED = 500, 50
MOST_GROUPS = transfer_mailboxes.MOST_GROUPS
SCHEDULE_FIELDS = tuple(f.name for f in fields(Schedule) if f.name != "is_on")
COLUMN_FIELDS = tuple(f.name for f in fields(PluginColumns))
COLUMN = re.compile(r"[a-z0-9_]{0,100}")
# Which of our permissions a role may be given by a file: those of the pages, nothing of Django's own.
PERMISSIONS = frozenset(name for names in ROLES.values() for name in names)


class TransferRefused(ValueError):
    """The file cannot be taken; the sentence says where and why. Nothing was stored."""


# --- what a file holds ---------------------------------------------------------------------------------------------
def settings_export() -> dict[str, Any]:
    """Returns everything an admin has set on this site, without secrets and addresses."""
    content = {
        "connections": [{"name": c.name, "system": c.system} for c in Connection.objects.order_by("name")],
        "mappings": [_table(t) for t in MappingTable.objects.order_by("name").prefetch_related("rules")],
        "passes": [_pass(p) for p in SyncPass.objects.whole().order_by("name").select_related("crm", "peer", "mapping")],
        "roles": [{"name": g.name, "permissions": _permissions(g)} for g in Group.objects.filter(name__in=ROLES).order_by("name")],
        "retention": asdict(retention_of()),
        "policy": {"same_email": dedupe_policy().choice},
        "mailboxes": transfer_mailboxes.exported(),
    }
    made_at = timezone.now().isoformat(timespec="seconds")
    return {"format": FORMAT, "version": VERSION, "made_at": made_at, "checksum": checksum(content), "content": content}


def export_text() -> str:
    return json.dumps(settings_export(), indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def checksum(content: Any) -> str:
    """Returns the digest of the content, whatever the order and spacing of the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _table(table: MappingTable) -> dict[str, Any]:
    rows = [{name: row[name] for name in ROW_FIELDS} for row in rows_of(table.rules.all())]
    return {"name": table.name, **_objects(table), "on_first_link": table.on_first_link, "rows": rows}


def _objects(table: MappingTable) -> dict[str, str]:
    return {"crm_object": table.crm_object, "peer_object": table.peer_object}


def _pass(sync_pass: SyncPass) -> dict[str, Any]:
    schedule = asdict(schedule_of(sync_pass))
    return {
        "name": sync_pass.name,
        "mapping": sync_pass.mapping.name,
        "crm": sync_pass.crm.name,
        "peer": sync_pass.peer.name,
        "schedule": {name: schedule[name] for name in SCHEDULE_FIELDS},
        "record_types": transfer_types.exported(sync_pass),
        "organisation_columns": asdict(organisation_columns(sync_pass)),
        "person_columns": asdict(person_columns(sync_pass)),
    }


def _permissions(group: Group) -> list[str]:
    ours = group.permissions.filter(content_type__app_label="reconciliation", codename__in=PERMISSIONS)
    return sorted(ours.values_list("codename", flat=True))


# --- reading a file ------------------------------------------------------------------------------------------------
Reader = Callable[[Any, str], Any]


def _text(most: int, *, among: frozenset[str] | None = None, pattern: re.Pattern[str] | None = None, is_blank_fine: bool = False) -> Reader:
    def read(value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise TransferRefused(f"{where} must be text.")
        if len(value) > most or not (value or is_blank_fine):
            raise TransferRefused(f"{where} must have {'at most' if is_blank_fine else '1 to'} {most} characters.")
        if any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise TransferRefused(f"{where} holds signs that no name has.")
        if among is not None and value not in among:
            raise TransferRefused(f"{where}: there is no {_short(value)}; choose among {', '.join(sorted(among))}.")
        if pattern is not None and not pattern.fullmatch(value):
            raise TransferRefused(f"{where}: {_short(value)} is no column name.")
        return value

    return read


def _yes_no(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise TransferRefused(f"{where} must be true or false.")
    return value


def _number(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10_000_000:
        raise TransferRefused(f"{where} must be a whole number.")
    return value


def _list_of(read: Reader, most: int) -> Reader:
    def read_all(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise TransferRefused(f"{where} must be a list.")
        if len(value) > most:
            raise TransferRefused(f"{where} has {len(value):,} entries; at most {most} are taken.")
        return [read(entry, f"{where}, entry {n}") for n, entry in enumerate(value, 1)]

    return read_all


def _object(shape: Mapping[str, Reader], later: Mapping[str, Any] | None = None) -> Reader:
    """Returns the reader of an object; `later` holds what stands for fields that files of earlier versions lack."""

    def read(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TransferRefused(f"{where} must be an object.")
        value = {**(later or {}), **value}
        if unknown := sorted(set(value) - set(shape)):
            raise TransferRefused(f"{where} has a field {_short(unknown[0])} that this version does not know.")
        if missing := [name for name in shape if name not in value]:
            raise TransferRefused(f"{where} lacks {missing[0]}.")
        return {name: one(value[name], f"{where}, {name}") for name, one in shape.items()}

    return read


def _short(text: str) -> str:
    shown = "".join(c if c.isprintable() else "�" for c in text[:40])
    return f"“{shown}{'…' if len(text) > 40 else ''}”"


def _pair(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or len(value) != 2:
        raise TransferRefused(f"{where} must be a pair of values.")
    return [_text(255)(part, where) for part in value]


def _condition(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or len(value) != 3:
        raise TransferRefused(f"{where} must be a field, a test and a value.")
    return [_text(255, is_blank_fine=True)(part, where) for part in value]


def _days(value: Any, where: str) -> list[int]:
    found: list[int] = _list_of(_number, 2)(value, where)
    if len(found) == 1:
        raise TransferRefused(f"{where} must be the days back and the days ahead.")
    return found


_NAME = _text(100)
_ROW: dict[str, Reader] = {
    "crm_field": _text(120),
    "peer_field": _text(120),
    "direction": _text(10, among=frozenset(Direction)),
    "transform": _text(40, among=frozenset(TRANSFORMS)),
    "survivorship": _text(12, among=frozenset(Survivorship)),
    "blank_to_peer": _yes_no,
    "blank_to_crm": _yes_no,
    "value_map": _list_of(_pair, MOST_ROWS),
    "default_in_peer": _text(255, is_blank_fine=True),
    "default_in_crm": _text(255, is_blank_fine=True),
    "is_enabled": _yes_no,
    "is_standard": _yes_no,
}
_FIRST_LINK = frozenset(value for value, _ in MappingTable._meta.get_field("on_first_link").choices or ())
_COLUMN = _text(100, pattern=COLUMN)
_COLUMN_OR_NONE = _text(100, pattern=COLUMN, is_blank_fine=True)
_TYPE: dict[str, Reader] = {
    "crm_object": _text(40),
    "mapping": _NAME,
    **dict.fromkeys(SWITCHES, _yes_no),
    "conditions": _list_of(_condition, 50),
}
_CHOICE: dict[str, Reader] = {"name": _text(40, among=frozenset(MAILBOX_SETTINGS)), "value": _text(64)}
_COLUMNS = _object(dict.fromkeys(COLUMN_FIELDS, _COLUMN) | {"error_text": _COLUMN_OR_NONE, "error_text_is_checkbox": _yes_no})
_CONTENT: dict[str, Reader] = {
    "connections": _list_of(_object({"name": _NAME, "system": _text(20, among=frozenset(Connection.System.values))}), MOST_LISTED),
    "mappings": _list_of(
        _object(
            {
                "name": _NAME,
                "crm_object": _text(40),
                "peer_object": _text(40),
                "on_first_link": _text(20, among=_FIRST_LINK),
                "rows": _list_of(_object(_ROW, {"value_map": [], "default_in_peer": "", "default_in_crm": ""}), MOST_ROWS),
            }
        ),
        MOST_LISTED,
    ),
    "passes": _list_of(
        _object(
            {
                "name": _text(40),
                "mapping": _NAME,
                "crm": _NAME,
                "peer": _NAME,
                "schedule": _object(dict.fromkeys(SCHEDULE_FIELDS, _number)),
                "record_types": _list_of(_object(_TYPE), MOST_LISTED),
                "organisation_columns": _COLUMNS,
                "person_columns": _COLUMNS,
            },
            {"record_types": []},
        ),
        MOST_LISTED,
    ),
    "roles": _list_of(
        _object({"name": _text(40, among=frozenset(ROLES)), "permissions": _list_of(_text(40, among=PERMISSIONS), 20)}), MOST_LISTED
    ),
    "retention": _object({f.name: _number for f in fields(Keep)}),
    "mailboxes": _object(
        {
            "settings": _list_of(_object({**_CHOICE, "is_locked": _yes_no}), MOST_ROWS),
            "groups": _list_of(_object({"name": _NAME, "settings": _list_of(_object(_CHOICE), MOST_ROWS)}), MOST_GROUPS),
            "days": _days,
        }
    ),
    "policy": _object({"same_email": _text(20, among=frozenset(["", *Policy.SameEmail.values]), is_blank_fine=True)}),
}
# What a file of an earlier version, which says nothing of it, stands for.
_LATER: dict[str, Any] = {"policy": {"same_email": ""}, "mailboxes": {"settings": [], "groups": [], "days": []}}
_DOCUMENT = _object(
    {"format": _text(40), "version": _number, "made_at": _text(40), "checksum": _text(64), "content": lambda value, where: value}
)


def read_document(text: str | bytes) -> dict[str, Any]:
    """Returns the checked content of a file. Raises TransferRefused with a sentence for everything else: too long, cut,
    no JSON, another format or version, changed since it was made, unknown fields, wrong types, names twice."""
    if len(text) > MOST_BYTES:
        raise TransferRefused(f"The file is larger than {MOST_BYTES:,} bytes; an export of this product is not.")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        document = json.loads(decoded, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if isinstance(error, TransferRefused):
            raise
        raise TransferRefused("The file is no export: it is cut off, or not JSON text.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise TransferRefused("The file is no export of settings of this product.")
    if document.get("version") != VERSION:
        raise TransferRefused(
            f"The file has version {_short(str(document.get('version')))} of the format; this site reads version {VERSION}."
        )
    checked = _DOCUMENT(document, "The file")
    if checked["checksum"] != checksum(checked["content"]):
        raise TransferRefused("The checksum does not fit: the file was changed or damaged after it was exported.")
    content = _object(_CONTENT, _LATER)(checked["content"], "content")
    for kind in ("connections", "mappings", "passes", "roles"):
        _no_name_twice(content[kind], kind)
    for table in content["mappings"]:
        _no_name_twice(table["rows"], f"rows of {table['name']}", "peer_field")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TransferRefused(f"The file says {_short(name)} twice in one place.")
        found[name] = value
    return found


def _no_number(text: str) -> Any:
    raise TransferRefused(f"The file holds {_short(text)}, which is no number.")


def _no_name_twice(rows: list[dict[str, Any]], kind: str, name: str = "name") -> None:
    names = [row[name] for row in rows]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise TransferRefused(f"{kind.capitalize()}: {_short(twice)} stands there twice.")


# --- what an import would do ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Line:
    """One value that would change."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Part:
    """One mapping, pass, role or the retention, with what would change in it."""

    title: str
    lines: list[Line] = field(default_factory=list)
    rows: list[RowDiff] = field(default_factory=list)
    apply: Callable[[AbstractBaseUser | None], None] | None = None

    @property
    def is_changed(self) -> bool:
        return bool(self.lines or self.rows)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would change, what it leaves out and why. `stamp` names the file and what stood here."""

    parts: list[Part]
    left_out: list[str]
    stamp: str

    @property
    def changed(self) -> list[Part]:
        return [part for part in self.parts if part.is_changed]

    @property
    def same(self) -> list[str]:
        return [part.title for part in self.parts if not part.is_changed]


def import_plan(text: str | bytes, by: AbstractBaseUser | None = None) -> ImportPlan:
    """Returns what the file would change here. Roles are taken only from a person who may change groups (and on the
    command line, where `by` is None). Stores nothing. Raises TransferRefused."""
    content = read_document(text)
    parts: list[Part] = []
    left_out: list[str] = []
    tables = {t.name: t for t in MappingTable.objects.prefetch_related("rules")}
    passes = {p.name: p for p in SyncPass.objects.whole().select_related("crm", "peer", "mapping")}
    for wanted in content["mappings"]:
        parts.append(_mapping_part(wanted, tables)) if wanted["name"] in tables else left_out.append(
            f"The mapping {_short(wanted['name'])} is not on this site; connect its systems first."
        )
    for wanted in content["passes"]:
        if wanted["name"] in passes:
            parts.append(_pass_part(wanted, passes[wanted["name"]]))
            left_out += transfer_types.unknown(passes[wanted["name"]], wanted["record_types"])
        else:
            left_out.append(f"The pass {_short(wanted['name'])} is not on this site; connect its systems first.")
    parts.append(_retention_part(content["retention"]))
    if content["policy"]["same_email"]:
        parts.append(_policy_part(content["policy"]["same_email"]))
    try:
        of_mailboxes = transfer_mailboxes.plan(content["mailboxes"])
    except MailboxRefused as refusal:
        raise TransferRefused(f"Settings of mailboxes: {refusal}") from None
    parts += [Part(it.title, [Line(*values) for values in it.lines], [], it.apply) for it in of_mailboxes.found]
    left_out += of_mailboxes.left_out
    if by is None or by.has_perm("auth.change_group"):  # type: ignore[attr-defined]
        parts += [_role_part(wanted) for wanted in content["roles"]]
    elif content["roles"]:
        left_out.append("Roles: only somebody who may change groups can take them over.")
    here = checksum(settings_export()["content"])
    return ImportPlan(parts, left_out, hashlib.sha256(f"{checksum(content)}{here}".encode()).hexdigest())


def _mapping_part(wanted: dict[str, Any], tables: dict[str, MappingTable]) -> Part:
    table = tables[wanted["name"]]
    title = f"Mapping {table.name}"
    if _objects(table) != {name: wanted[name] for name in ("crm_object", "peer_object")}:
        raise TransferRefused(f"{title}: the file maps {wanted['crm_object']} to {wanted['peer_object']}, this site does not.")
    sync_pass = pass_of(table)
    if sync_pass is None:
        raise TransferRefused(f"{title}: no pass uses it here.")
    proposal = proposal_of(table, wanted["rows"], wanted["on_first_link"])
    lines = [Line("On first link", *proposal.first_link_diff)] if proposal.first_link_diff else []
    rows = [row for row in proposal.diff if row.kind != "same"]
    if lines or rows:
        try:
            check(sync_pass, proposal.changes, proposal.added)
        except MappingRefused as refusal:
            raise TransferRefused(f"{title}: {refusal}") from None
    return Part(title, lines, rows, lambda by: _save_mapping(sync_pass, proposal, by))


def _save_mapping(sync_pass: SyncPass, proposal: Proposal, by: AbstractBaseUser | None) -> None:
    reason = "Imported from a settings file."
    mapping_save(sync_pass, proposal.changes, proposal.added, proposal.on_first_link, by, rests_on=proposal.rests_on, reason=reason)


WORDS = {
    "interval_seconds": "every … seconds",
    "time_budget_seconds": "time budget, seconds",
    "full_every_days": "days between full comparisons",
    "blanking_count": "brake: blanked records",
    "blanking_percent": "brake: blanked percent",
}


def _pass_part(wanted: dict[str, Any], sync_pass: SyncPass) -> Part:
    title = f"Pass {sync_pass.title}"
    present = schedule_of(sync_pass)
    schedule = Schedule(is_on=present.is_on, **wanted["schedule"])
    try:
        schedule_check(schedule)
    except ScheduleRefused as refusal:
        raise TransferRefused(f"{title}: {refusal}") from None
    lines = _lines(asdict(present), asdict(schedule), WORDS)
    is_known = fields_are_known(sync_pass)  # else the next run finds out, and holds the pass over a column that is not there
    columns = {}
    for kind, now in (("organisation", organisation_columns(sync_pass)), ("person", person_columns(sync_pass))):
        names = FIELDS[kind] if is_known else COLUMN_FIELDS  # the others follow from the field lists, or are not used
        found = _lines(asdict(now), wanted[SETTINGS[kind]], {n: f"{kind} column {n}" for n in names})
        if found:
            columns[SETTINGS[kind]] = wanted[SETTINGS[kind]]
            lines += found

    types = transfer_types.plan(sync_pass, wanted["record_types"])
    lines += [Line(*values) for values in types.lines]

    chosen = {(kind, key): wanted[name][key] for kind, name in SETTINGS.items() if name in columns for key in FIELDS[kind]}
    try:
        (fields_check if is_known else refuse_twice)(sync_pass, chosen)
    except FieldsRefused as refusal:
        raise TransferRefused(f"{title}: {refusal}") from None

    def apply(by: AbstractBaseUser | None) -> None:
        if schedule != present:
            schedule_set(sync_pass, schedule, by)
        types.apply(by)
        if columns and is_known:
            fields_choose(sync_pass, chosen, by)
        elif columns:
            row = SyncPass.objects.select_for_update().get(pk=sync_pass.pk)
            SyncPass.objects.filter(pk=row.pk).update(settings={**row.settings, **columns})

    return Part(title, lines, [], apply)


def _retention_part(wanted: dict[str, int]) -> Part:
    keep = Keep(**wanted)
    try:
        retention_check(keep)
    except RetentionRefused as refusal:
        raise TransferRefused(f"Data kept: {refusal}") from None
    lines = _lines(asdict(retention_of()), wanted, {n: f"{title}, days" for n, (title, _, _) in KEPT.items()})
    return Part("Data kept", lines, [], lambda by: retention_set(keep, by))


def _policy_part(wanted: str) -> Part:
    now = dedupe_policy().choice
    lines = [Line("same e-mail address", Policy.SameEmail(now).label, Policy.SameEmail(wanted).label)] if now != wanted else []
    return Part("Dedupe policy", lines, [], lambda by: policy_set(wanted, now, by))


def _role_part(wanted: dict[str, Any]) -> Part:
    group = Group.objects.filter(name=wanted["name"]).first()
    before, after = (_permissions(group) if group else []), sorted(set(wanted["permissions"]))
    lines = [Line("may", ", ".join(before), ", ".join(after))] if before != after else []

    def apply(by: AbstractBaseUser | None) -> None:
        role, _ = Group.objects.get_or_create(name=wanted["name"])
        known = {p.codename: p for p in Permission.objects.filter(content_type__app_label="reconciliation", codename__in=PERMISSIONS)}
        role.permissions.remove(*(known[name] for name in before if name not in after))
        role.permissions.add(*(known[name] for name in after))
        audit(by, "change role", role.name, permissions=[before, after])

    return Part(f"Role {wanted['name']}", lines, [], apply)


def _lines(before: Mapping[str, Any], after: Mapping[str, Any], words: Mapping[str, str]) -> list[Line]:
    return [Line(word, before[name], after[name]) for name, word in words.items() if before[name] != after[name]]


REFUSALS = (MappingRefused, ScheduleRefused, RetentionRefused, FieldsRefused, RecordTypesRefused, PolicyRefused, MailboxRefused)


def settings_import(text: str | bytes, by: AbstractBaseUser | None = None, *, stamp: str) -> ImportPlan:
    """Carries out exactly what `import_plan` showed, or nothing. Raises TransferRefused when the file is another one or
    this site was changed since, and when a row cannot be stored."""
    with transaction.atomic():
        plan = import_plan(text, by)
        if plan.stamp != stamp:
            raise TransferRefused("The file or the settings of this site changed since the preview. Look at it again.")
        try:
            for part in plan.changed:
                if part.apply is not None:
                    part.apply(by)
        except REFUSALS as refusal:
            raise TransferRefused(str(refusal)) from None
        changes = {
            part.title: [*(f"{n.name}: {n.before} → {n.after}" for n in part.lines), *(r.sentence for r in part.rows)]
            for part in plan.changed
        }
        audit(by, "import settings", "Settings", changes=changes, left_out=plan.left_out)
    return plan
