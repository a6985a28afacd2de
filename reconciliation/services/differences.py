"""Fields that differ since two records were linked (D25), and blanks that a rule holds back (D30): one side's value is sent
for one, many or all of them, once a person has seen what will be written. The road is the executor's, under the lease. What
belongs to organisations stands here, what belongs to two-way passes in `pair_differences`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as ReadOnly
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from connectors.contract import Connector, Record, Ref, Value
from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.core.eligibility import explain
from reconciliation.core.mapping import FieldRule, Mapping
from reconciliation.core.operations import Intent
from reconciliation.core.transforms import CannotConvert, Unmatched, convert
from reconciliation.core.values import is_blank, is_same
from reconciliation.engine import gather
from reconciliation.engine.context import RunContext
from reconciliation.engine.differences import users_known
from reconciliation.engine.executor import Done
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Difference, Operation, SyncPass
from reconciliation.passes.organisations import ACCOUNT, ORGANISATION
from reconciliation.services import pair_differences
from reconciliation.services.audit import audit
from reconciliation.services.pair_differences import Forced, PairLine
from reconciliation.services.pull import RELATED
from reconciliation.store import encode, encode_fields, mapping_of, organisation_columns

MOST_AT_ONCE = 500
MORE_MAILBOXES = "One mailbox is read at a time, and this one was not. Choose its fields alone, by the filter for mailboxes."
STALE = "Changed since it was shown: {} holds another value now. Look at it again."


@dataclass(frozen=True, slots=True)
class Line:
    """What forcing one field would do: `becomes` instead of `now` in Outreach, or the sentence that refuses it. A field
    that agrees by now only leaves the list."""

    difference: Difference
    record: Record | None = None
    account: Record | None = None
    rule: FieldRule | None = None
    now: Value = None
    becomes: Value = None
    refusal: str = ""
    agrees: bool = False

    @property
    def field(self) -> str:
        return self.difference.peer_field

    @property
    def target(self) -> str:
        """The system that is written."""
        return self.difference.sync_pass.peer.get_system_display()

    @property
    def key(self) -> str:
        """What a form sends back: which field, and what the preview rested on."""
        rests_on = json.dumps([encode(self.now), encode(self.becomes)], sort_keys=True)
        return f"{self.difference.pk}|{hashlib.sha256(rests_on.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is needed to say what forcing would do: it reads, and takes no lease."""

    sync_pass: SyncPass
    crm: Connector
    peer: Connector
    mapping: Mapping


def chosen(keys: Sequence[int]) -> list[Difference]:
    """Returns these rows with what a plan needs, newest first."""
    found = Difference.objects.filter(pk__in=list(keys)[:MOST_AT_ONCE])
    rows = list(found.select_related("binding", *RELATED).order_by("-pk"))
    for row in rows:
        row.binding.sync_pass = row.sync_pass
    return rows


def by_pass(rows: Sequence[Difference]) -> list[tuple[SyncPass, list[Difference]]]:
    """Returns the rows of each pass: each has its own lease and its own way to write."""
    found: dict[int, list[Difference]] = {}
    for row in rows:
        found.setdefault(row.sync_pass_id, []).append(row)
    return [(some[0].sync_pass, some) for some in found.values()]


def force_plan(rows: Sequence[Difference], *, source: str = "", wiring: Wiring | None = None) -> list[Line | PairLine]:
    """Returns a line per field, from what both systems hold now. `source` ("crm", "peer") says from which side, where a pass
    goes both ways; without it, it is the CRM's value, or the blank that is held back. Reads only. Raises ConnectorError."""
    lines: list[Line | PairLine] = []
    is_read = False  # each mailbox is a system of its own to ask, and a page asks one
    for sync_pass, some in by_pass(rows):
        if sync_pass.mailbox_id is not None and is_read:
            lines += pair_differences.refused(sync_pass, some, source, MORE_MAILBOXES)
        elif sync_pass.is_two_way:
            lines += pair_differences.plan(sync_pass, some, source, wiring)
            is_read = is_read or sync_pass.mailbox_id is not None
        else:
            lines += _organisations_plan(sync_pass, some, wiring or Wiring())
    return lines


def _organisations_plan(sync_pass: SyncPass, rows: Sequence[Difference], wiring: Wiring) -> list[Line]:
    crm = wiring.open_connector(sync_pass.crm)
    try:
        peer = wiring.open_connector(sync_pass.peer)
        try:
            return _lines(_Desk(sync_pass, crm, peer, mapping_of(sync_pass.mapping, sync_pass.peer)), rows)
        finally:
            peer.close()
    finally:
        crm.close()


def _lines(desk: _Desk, rows: Sequence[Difference]) -> list[Line]:
    columns = organisation_columns(desk.sync_pass)
    wanted = list(dict.fromkeys(["name", *columns.names, *desk.mapping.crm_fields]))
    organisations = {r.ref.id: r for r in desk.crm.read(ORGANISATION, sorted({d.binding.crm_id for d in rows}), wanted)}
    accounts = gather.accounts_by_id(desk.peer, desk.mapping, {d.binding.peer_id for d in rows})
    users = users_known(desk.sync_pass.peer, desk.mapping, (r.fields for r in organisations.values()))
    rules = {rule.peer: rule for rule in desk.mapping.rules}
    lines = []
    for row in rows:
        line = Line(row, organisations.get(row.binding.crm_id), accounts.get(row.binding.peer_id), rules.get(row.peer_field))
        lines.append(_line(line, columns, users))
    return lines


def _line(line: Line, columns: Any, users: dict[str, str]) -> Line:
    row, record, account, rule = line.difference, line.record, line.account, line.rule

    def refused(sentence: str) -> Line:
        return Line(row, record, account, rule, now=account.fields.get(row.peer_field) if account else None, refusal=sentence)

    if row.binding.is_tombstone or account is None:
        return refused("The link ended, or its account is gone.")
    if record is None or record.is_deleted:
        return refused("The organisation was deleted in Workbooks.")
    if rule is None or not rule.flows_to_peer:
        return refused("This field is not sent to Outreach any more; see Mappings.")
    failing = [c.title for c in explain(columns, record.fields, record.updated_at, None)[:3] if not c.holds]
    if failing:
        return refused(f"It is not synced: it must hold that {' and '.join(failing)}.")
    now = account.fields.get(rule.peer)
    if rule.crm in record.damaged:
        return refused("Its value in Workbooks holds characters that cannot be stored.")
    try:
        wanted = convert(rule.transform, record.fields.get(rule.crm), users=users)
    except CannotConvert as error:
        return refused(f"Its value in Workbooks cannot be sent: {error}.")
    if isinstance(wanted, Unmatched):
        return refused(f"No Outreach user has the username {wanted.text}.")
    if is_same(wanted, now):
        return Line(row, record, account, rule, now, now, agrees=True)
    if is_blank(wanted) and rule.is_required:
        return refused("Outreach takes no blank here.")
    if is_blank(wanted) and row.kind == Difference.Kind.LINKED and not rule.blank_to_peer:
        return refused("Workbooks holds a blank here by now, which the rule holds back.")
    if isinstance(wanted, str) and rule.max_length and len(wanted) > rule.max_length:
        return refused(f"Its value has {len(wanted)} characters, Outreach takes {rule.max_length}.")
    return Line(row, record, account, rule, now, None if is_blank(wanted) else wanted)


def rows_of(keys: Sequence[str]) -> dict[int, str]:
    """Returns row -> what its preview rested on, from what a form sent back."""
    return {int(pk): rests_on for pk, _, rests_on in (key.partition("|") for key in keys[:MOST_AT_ONCE]) if _is_key(pk)}


def force(keys: Sequence[str], user: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> Forced:
    """Sends the values of the fields that were shown; one that changed since is refused. Raises Busy, WritesStopped,
    ConnectorError; what an earlier pass of the choice wrote then stands in its run."""
    shown, done = rows_of(keys), Forced()
    for sync_pass, rows in by_pass(chosen(list(shown))):
        carry_out = pair_differences.force if sync_pass.is_two_way else _force_organisations
        more = carry_out(sync_pass, rows, shown, user, reason=reason, wiring=wiring)
        done = Forced(done.written + more.written, done.agreed + more.agreed, (*done.refusals, *more.refusals))
    return done


def _force_organisations(
    sync_pass: SyncPass,
    rows: Sequence[Difference],
    shown: ReadOnly[int, str],
    user: AbstractBaseUser,
    *,
    reason: str,
    wiring: Wiring | None,
) -> Forced:
    what = f"Force {len(rows)} field{'s' if len(rows) > 1 else ''} to what Workbooks holds."
    with at_work(sync_pass, by=user.get_username(), what=what, reason=reason, wiring=wiring) as context:
        now = chosen([row.pk for row in rows])  # somebody may have forced one, or ended its link, while this waited for the pass
        lines = _lines(_Desk(sync_pass, context.crm.connector, context.peer.connector, context.terms.mapping), now)
        refusals = []
        ready = []
        for line in lines:
            name = line.difference.binding.name
            if line.refusal:
                refusals.append(f"{name}, {line.difference.peer_field}: {line.refusal}")
            elif not line.agrees and line.key != f"{line.difference.pk}|{shown[line.difference.pk]}":
                refusals.append(f"{name}, {line.difference.peer_field}: {STALE.format('one side')}")
            else:
                ready.append(line)
        agreed = [line for line in ready if line.agrees]
        _settle(context, agreed)
        written, more = _send(context, [line for line in ready if not line.agrees])
        refusals += more
        binding = rows[0].binding
        subject = f"organisation {binding.crm_id} {binding.name}" if len({r.binding_id for r in rows}) == 1 else counted(written, "field")
        fields = sorted({r.peer_field for r in rows})
        audit(user, "force values", subject, run=context.run.pk, fields=fields, written=written, refused=len(refusals), reason=reason)
        context.notes += refusals
        return Forced(written, len(agreed) + len(rows) - len(now), tuple(refusals))


def _is_key(text: str) -> bool:
    """Tells whether a form names a row that a database could hold."""
    return text.isascii() and text.isdigit() and len(text) < 19


def _send(context: RunContext, lines: list[Line]) -> tuple[int, list[str]]:
    """Writes one update per account and returns how many fields were written, and what was refused."""
    by_account: dict[str, list[Line]] = {}
    for line in lines:
        by_account.setdefault(line.difference.binding.peer_id, []).append(line)
    groups = list(by_account.values())
    operations = context.executor.intend([_intent(context, group) for group in groups])
    mine = {op.target_id: group for op, group in zip(operations, groups, strict=True) if op is not None}
    context.executor.send("peer", [op for op in operations if op is not None], lambda done: _settled(context, done, mine))
    written, refusals = 0, []
    for op, group in zip(operations, groups, strict=True):
        name = group[0].difference.binding.name
        if op is None:
            refusals.append(f"{name}: somebody else is writing this account just now.")
        elif op.state == Operation.State.CONFIRMED:
            written += len(group)
        else:
            refusals.append(f"{name}: {op.error or op.get_state_display()}")
    return written, refusals


def _intent(context: RunContext, group: list[Line]) -> Intent:
    record, account = group[0].record, group[0].account
    is_blank_only = all(line.difference.kind == Difference.Kind.BLANK for line in group)
    return Intent(
        Operation.Kind.UPDATE.value,
        "peer",
        ACCOUNT,
        str(Ref(context.crm.connector.system, ORGANISATION, group[0].difference.binding.crm_id)),
        after={line.difference.peer_field: line.becomes for line in group},
        before={line.difference.peer_field: line.now for line in group},
        target_id=account.ref.id,
        version=account.version,
        reason="A blank in Workbooks was carried over, by staff." if is_blank_only else "What Workbooks holds was forced, by staff.",
        origin={
            "system": record.ref.system,
            "name": str(record.fields.get("name") or "")[:255],
            "by": record.updated_by,
            "at": record.updated_at.isoformat() if record.updated_at else "",
            "mapping": context.terms.mapping.version,
            "rules": {line.difference.peer_field: line.rule.id for line in group},
        },
    )


def _settled(context: RunContext, done: list[Done], mine: dict[str, list[Line]]) -> None:
    for item in done:
        if item.error is None:
            _settle(context, mine[item.operation.target_id], item.record)
        elif isinstance(item.error, ConnectorError):
            item.operation.error = item.error.sentence


def _settle(context: RunContext, lines: list[Line], answered: Record | None = None) -> None:
    """Takes the fields' present values of both sides as their base, and strikes them out of the list."""
    by_binding: dict[int, list[Line]] = {}
    for line in lines:
        by_binding.setdefault(line.difference.binding_id, []).append(line)
    for binding in Binding.objects.filter(pk__in=by_binding):
        group = by_binding[binding.pk]
        got = answered.fields if answered is not None else {}
        held = {line.difference.peer_field: got.get(line.difference.peer_field, line.becomes) for line in group}
        given = {line.rule.crm: line.record.fields.get(line.rule.crm) for line in group}
        binding.peer_base = {**binding.peer_base, **encode_fields(held)}
        binding.crm_base = {**binding.crm_base, **encode_fields(given)}
        if answered is not None:
            binding.peer_version = answered.version
        binding.save(update_fields=["peer_base", "crm_base", "peer_version"])
    Difference.objects.filter(pk__in=[line.difference.pk for line in lines]).delete()
