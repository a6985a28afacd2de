"""The way of a pass over real systems from its first preview to *on*: look, try a few, take batches, switch on (C33, D27)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Record
from reconciliation.core.counting import bent
from reconciliation.core.eligibility import explain
from reconciliation.engine import gate
from reconciliation.engine.previews import GOOD_FOR
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, Policy, RecordType, Run, SyncPass
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.services.activities import activities_begin
from reconciliation.services.audit import audit
from reconciliation.services.fields import missing_fields
from reconciliation.store import organisation_columns

MOST_PICKED = 50
CURSOR = ("last_run_time", "sweep_started_at", "position_at", "position_id")
ONE_KEY = {"account": ("an account", "customId"), "prospect": ("a prospect", "externalId")}  # what holds the CRM's key there
LEAST_BATCH, MOST_BATCH, USUAL_BATCH = 1, 1_000, 25


class SwitchRefused(ValueError):
    """Nothing was changed; the sentence says what to do first."""


def may_be_confirmed(run: Run) -> bool:
    """Tells whether looking at this run opens the way to a pilot."""
    is_plan = run.kind == Run.Kind.PREVIEW and run.state in (Run.State.FINISHED, Run.State.HELD)
    return is_plan and gate.is_closed(run.sync_pass) and run.sync_pass.preview_seen.get("run") != run.pk


def preview_confirm(run: Run, user: AbstractBaseUser) -> None:
    """Notes that an admin looked at the preview of a pass that was never on. Raises SwitchRefused."""
    sync_pass = run.sync_pass
    if not may_be_confirmed(run):
        raise SwitchRefused("Only a finished preview of a pass that was never switched on is confirmed here.")
    if timezone.now() - run.started_at > GOOD_FOR:
        raise SwitchRefused("This preview is older than 24 hours. Make a new one and look at that.")
    if run.rests_on != gate.what_it_rests_on(sync_pass):
        raise SwitchRefused("Mapping, fields or a connection were changed since this preview. Make a new one and look at that.")
    seen = {"run": run.pk, "by": user.get_username(), "at": timezone.now().isoformat(), "rests_on": run.rests_on}
    SyncPass.objects.filter(pk=sync_pass.pk).update(preview_seen=seen)
    audit(user, "confirm first preview", sync_pass.title, run=run.pk, created=run.created, updated=run.updated, duplicates=run.duplicates)


def preview_waive(sync_pass: SyncPass) -> None:
    """Notes that whoever holds the command line wants no preview first (engine-rules 36)."""
    if not gate.is_closed(sync_pass):
        raise SwitchRefused("The pass was switched on before; it needs no approval.")
    seen = {"run": None, "by": "command line", "at": timezone.now().isoformat(), "rests_on": gate.what_it_rests_on(sync_pass)}
    SyncPass.objects.filter(pk=sync_pass.pk).update(preview_seen=seen)
    audit(None, "waive first preview", sync_pass.title)


@dataclass(frozen=True, slots=True)
class Picked:
    """One hand-picked organisation: `sentence` says why a pilot would not take it, "" when it would."""

    id: str
    name: str
    sentence: str = ""


def pilot_pick(sync_pass: SyncPass, text: str, user: AbstractBaseUser, *, wiring: Wiring | None = None) -> list[Picked]:
    """Stores the organisations that a pilot runs for: an id or a name a line, each looked up in the CRM. Returns them with
    what speaks against each. Raises SwitchRefused, storing nothing, and ConnectorError."""
    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not lines:
        raise SwitchRefused("Enter at least one organisation: its id or its name, one a line.")
    if len(lines) > MOST_PICKED:
        raise SwitchRefused(f"Pick at most {MOST_PICKED}; more are taken in batches.")
    records = _look_up(sync_pass, lines, wiring or Wiring())
    columns = organisation_columns(sync_pass)
    picked = [Picked(r.ref.id, str(r.fields.get("name") or ""), _against(columns, r)) for r in records]
    _note_pilot(sync_pass, organisations=[{"id": p.id, "name": p.name[:255]} for p in picked])
    audit(user, "pick pilot organisations", sync_pass.title, organisations=[f"{p.id} {p.name[:80]}" for p in picked])
    return picked


@transaction.atomic
def _note_pilot(sync_pass: SyncPass, **values: object) -> None:
    """Stores what was chosen beside what somebody else may be choosing."""
    sync_pass.pilot = {**SyncPass.objects.select_for_update().get(pk=sync_pass.pk).pilot, **values}
    SyncPass.objects.filter(pk=sync_pass.pk).update(pilot=sync_pass.pilot)


def _look_up(sync_pass: SyncPass, lines: list[str], wiring: Wiring) -> list[Record]:
    prefix = f"{sync_pass.crm.system}:{ORGANISATION}:"
    ids = {line: line.removeprefix(prefix) for line in lines}
    ids = {line: id_ for line, id_ in ids.items() if id_.isascii() and id_.isdigit() and len(id_) < 19}
    names = [line for line in lines if line not in ids]
    wanted = ["name", *organisation_columns(sync_pass).names]
    connector = wiring.open_connector(sync_pass.crm)
    try:
        by_id = {r.ref.id: r for r in connector.read(ORGANISATION, list(ids.values()), wanted) if not r.is_deleted} if ids else {}
        found = [r for r in connector.find(ORGANISATION, "name", names, wanted) if not r.is_deleted] if names else []
    finally:
        connector.close()
    records, problems = {}, []
    for line in lines:
        mine = [by_id[ids[line]]] if ids.get(line) in by_id else [r for r in found if _is_named(r, line)] if line in names else []
        if len(mine) == 1:
            records[mine[0].ref.id] = mine[0]
        elif mine:
            problems.append(f"{line} is the name of {len(mine)} organisations ({', '.join(r.ref.id for r in mine[:5])}): enter the id")
        else:
            problems.append(f"{line} is no organisation of {sync_pass.crm.get_system_display()}")
    if problems:
        raise SwitchRefused("; ".join(problems[:5]) + ". Nothing was stored.")
    return list(records.values())


def _is_named(record: Record, line: str) -> bool:
    return str(record.fields.get("name") or "").strip().casefold() == line.casefold()


def _against(columns, record: Record) -> str:
    failing = [c.title for c in explain(columns, record.fields, record.updated_at, None)[:3] if not c.holds]
    return f"is not taken while not: {', '.join(failing)}" if failing else ""


def pilot_start(sync_pass: SyncPass, user: AbstractBaseUser, *, most_new: int | None = None) -> tuple[str, ...]:
    """Says that a pilot may begin and returns the organisations it runs for, () for a batch of `most_new` new ones. The
    run itself asks again. Raises SwitchRefused."""
    if sync_pass.is_on:
        raise SwitchRefused("The pass is on; it takes every organisation by itself.")
    if not _is_of_plugin(sync_pass):
        raise SwitchRefused("A pilot takes organisations of Workbooks; try this pass with an import of a few records.")
    _refuse_unknown_database(sync_pass)
    if why := gate.preview_wanted(sync_pass):
        raise SwitchRefused(why)
    if most_new is not None:
        if not LEAST_BATCH <= most_new <= MOST_BATCH:
            raise SwitchRefused(f"A batch takes between {LEAST_BATCH} and {MOST_BATCH:,} organisations.")
        _note_pilot(sync_pass, batch=most_new)
        audit(user, "run pilot batch", sync_pass.title, most=most_new)
        return ()
    picked = tuple(o["id"] for o in sync_pass.pilot.get("organisations", []))
    if not picked:
        raise SwitchRefused("Pick organisations for the pilot first.")
    audit(user, "run pilot", sync_pass.title, organisations=list(picked))
    return picked


def refuse_switch_on(sync_pass: SyncPass) -> None:
    """Raises SwitchRefused with what has to be done before this pass may be switched on."""
    taken = gate.other_holder(sync_pass)
    if taken is not None:  # D32
        noun, field = ONE_KEY.get(taken.mapping.peer_object, (f"a {taken.mapping.peer_object}", "its key"))
        raise SwitchRefused(
            f"{taken.crm} is synced with {sync_pass.peer} already; {noun} holds one key ({field}), so a second CRM cannot be. "
            f"Switch “{taken}” off first."
        )
    if _is_of_plugin(sync_pass):
        _refuse_unknown_database(sync_pass)
        if gate.is_closed(sync_pass) and (missing := missing_fields(sync_pass)):
            are = bent(len(missing), "is", "are")
            raise SwitchRefused(f"{len(missing)} of the plugin's fields {are} missing in {sync_pass.crm}; see Set-up, Fields.")
    if why := gate.preview_wanted(sync_pass):
        raise SwitchRefused(why)


def _is_of_plugin(sync_pass: SyncPass) -> bool:
    """Tells whether the pass works with the fields and the database of Workbooks."""
    return sync_pass.crm.system == Connection.System.WORKBOOKS


def _refuse_unknown_database(sync_pass: SyncPass) -> None:
    if not sync_pass.crm.settings.get("database_id"):
        raise SwitchRefused(f"Test “{sync_pass.crm}” first: the keys of accounts carry its database id, which is not known yet.")


@transaction.atomic
def pass_switch_on(sync_pass: SyncPass, user: AbstractBaseUser | None) -> None:
    """Lets the schedule run the pass. The first time Last Run Time is this moment: organisations that have an Id already
    wait until they are edited (D27); those that pilots linked are looked at once more, since they may have been edited
    meanwhile. Raises SwitchRefused, changing nothing."""
    Policy.lock()  # somebody may be switching on the other of two that must not both be on
    row = SyncPass.objects.select_for_update().select_related("crm", "peer", "mapping").get(pk=sync_pass.pk)
    if row.is_on:
        return
    refuse_switch_on(row)
    now = timezone.now().replace(microsecond=0)
    changes: dict[str, object] = {"is_on": True, "next_due_at": None}
    if row.switched_on_at is None:
        changes |= {"switched_on_at": now}
        if gate.is_real(row):
            changes |= {"last_run_time": now, "sweep_started_at": None, "position_at": None, "position_id": ""}
            begins = {name: value for name, value in changes.items() if name in CURSOR}
            RecordType.objects.filter(sync_pass=row).update(**begins)
            Binding.objects.filter(sync_pass=row, crm_type=ORGANISATION, is_tombstone=False).update(is_retry_due=True)
        activities_begin(row, now)
    SyncPass.objects.filter(pk=row.pk).update(**changes)
    audit(user, "switch pass on", row.title, first_time=row.switched_on_at is None)


@transaction.atomic
def pass_switch_off(sync_pass: SyncPass, user: AbstractBaseUser | None) -> None:
    """Lets the schedule leave the pass alone; what waits keeps waiting behind its cursor."""
    if SyncPass.objects.filter(pk=sync_pass.pk, is_on=True).update(is_on=False):
        audit(user, "switch pass off", sync_pass.title)
