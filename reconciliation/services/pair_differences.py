"""Fields that differ between linked records of a two-way pass, taken from the list (D25), and held blanks carried across
(D30): what `services.pull` does for one record, for the rows that somebody chose. Called by `services.differences`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from reconciliation.core.merging import Side
from reconciliation.core.values import is_blank
from reconciliation.engine.context import RunContext
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Difference, SyncPass
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.pull import Choice, PullPlan, pull_plans, pull_within
from reconciliation.store import decode

ENDED = "The link ended."
UNMAPPED = "This field is not mapped any more; see Mappings."
HELD_BLANK = "{} holds a blank here, which the rule holds back; it can be taken over with “also blanks” on the page of the record."


@dataclass(frozen=True, slots=True)
class PairLine:
    """What forcing one field would do: `becomes` instead of `now` in the system `target`, or the sentence that refuses it.
    A field that agrees by now only leaves the list. `is_off`: only force takes it across."""

    difference: Difference
    source: Side
    target: str
    field: str
    now: Any = None
    becomes: Any = None
    refusal: str = ""
    agrees: bool = False
    is_off: bool = False
    rests_on: str = ""

    @property
    def key(self) -> str:
        """What a form sends back: which field, from which side, and what the preview rested on."""
        return f"{self.difference.pk}|{self.source}:{self.rests_on}"


@dataclass(frozen=True, slots=True)
class Forced:
    """What became of it: fields written, fields that agreed already, and a sentence for each that was refused."""

    written: int = 0
    agreed: int = 0
    refusals: tuple[str, ...] = ()


def source_of(row: Difference, asked: str = "") -> Side:
    """Returns the side whose value is taken: the one that was asked for, else of a held blank the blank one, else the CRM."""
    if asked in ("crm", "peer"):
        return asked  # type: ignore[return-value]
    is_blank_there = row.kind == Difference.Kind.BLANK and is_blank(decode(row.peer_value)) and not is_blank(decode(row.crm_value))
    return "peer" if is_blank_there else "crm"


def plan(sync_pass: SyncPass, rows: Sequence[Difference], source: str, wiring: Wiring | None) -> list[PairLine]:
    """Returns a line per field, from what both systems hold now. Raises ConnectorError."""
    groups: dict[tuple[int, Side], list[Difference]] = {}
    for row in rows:
        if not row.binding.is_tombstone:
            groups.setdefault((row.binding_id, source_of(row, source)), []).append(row)
    asked = [(some[0].binding, _choice(side, {row.peer_field for row in some})) for (_, side), some in groups.items()]
    plans = dict(zip(groups, pull_plans(sync_pass, asked, wiring=wiring), strict=True)) if asked else {}
    return [_line(sync_pass, row, side, plans.get((row.binding_id, side), ENDED)) for row in rows for side in [source_of(row, source)]]


def refused(sync_pass: SyncPass, rows: Sequence[Difference], source: str, why: str) -> list[PairLine]:
    """Returns a line per field that is not read at all, with the sentence that says why."""
    return [_line(sync_pass, row, source_of(row, source), why) for row in rows]


def _choice(source: Side, fields: set[str]) -> Choice:
    return Choice(source=source, is_forced=True, fields=frozenset(fields), also_blanks=True)


def _line(sync_pass: SyncPass, row: Difference, source: Side, found: PullPlan | str) -> PairLine:
    crm, peer = sync_pass.crm.get_system_display(), sync_pass.peer.get_system_display()
    target, field = (peer, row.peer_field) if source == "crm" else (crm, row.crm_field)
    if isinstance(found, str):
        return PairLine(row, source, target, field, refusal=found)
    line = next((it for it in found.lines if it.name == row.peer_field), None)
    if line is None:
        return PairLine(row, source, target, field, refusal=UNMAPPED)
    now, rule = (line.peer if source == "crm" else line.crm), line.rule
    lets_blanks = rule.blank_to_peer if source == "crm" else rule.blank_to_crm
    is_required = rule.is_required if source == "crm" else rule.is_required_in_crm
    refusal = "" if line.is_written else line.note
    if line.is_written and is_blank(line.becomes):
        if is_required:
            refusal = f"{target} takes no blank here."
        elif row.kind == Difference.Kind.LINKED and not lets_blanks:
            refusal = HELD_BLANK.format(crm if source == "crm" else peer)
    agrees = not line.is_written and not line.note
    return PairLine(row, source, target, field, now, line.becomes, refusal, agrees, line.is_off, line.seen)


def force(
    sync_pass: SyncPass,
    rows: Sequence[Difference],
    shown: Mapping[int, str],
    user: AbstractBaseUser,
    *,
    reason: str = "",
    wiring: Wiring | None = None,
) -> Forced:
    """Carries out what was shown, a write per record, in one run. `shown` maps a row's key to what its line rested on. A
    record of which anything changed since is refused whole. Raises Busy, WritesStopped, ConnectorError."""
    what = f"Force {len(rows)} field{'s' if len(rows) > 1 else ''} that differ{'' if len(rows) > 1 else 's'}."
    with at_work(sync_pass, by=user.get_username(), what=what, reason=reason, wiring=wiring) as context:
        keys = {row.pk for row in rows}
        now = list(Difference.objects.filter(pk__in=keys).select_related("binding").order_by("-pk"))  # some may be settled meanwhile
        written, refusals, refused = 0, list[str](), set[int]()
        groups: dict[tuple[int, str], list[Difference]] = {}
        for row in now:
            groups.setdefault((row.binding_id, shown[row.pk].partition(":")[0]), []).append(row)
        for (_, source), some in groups.items():
            binding, fields = some[0].binding, ", ".join(sorted(row.peer_field for row in some))
            try:
                written += _force_one(context, binding, source, some, shown, user)
            except DecisionRefused as refusal:
                refusals.append(f"{binding.name}, {fields}: {refusal}")
                refused |= {row.pk for row in some}
        left = Difference.objects.filter(pk__in=keys - refused).select_related("binding")
        refusals += [f"{row.binding.name}, {row.peer_field}: it stays as it is; look at it again." for row in left]
        context.notes += [f"{written} written.", *refusals]
        return Forced(written, len(keys) - written - len(refused) - len(left), tuple(refusals))


def _force_one(
    context: RunContext, binding: Binding, source: str, rows: Sequence[Difference], shown: Mapping[int, str], user: AbstractBaseUser
) -> int:
    """Writes the fields of one record and returns how many. Raises DecisionRefused."""
    if source not in ("crm", "peer"):
        raise DecisionRefused("Look at the differences again, then force. Nothing was done.")
    if binding.is_tombstone:
        raise DecisionRefused(ENDED)
    seen = {row.peer_field: shown[row.pk].partition(":")[2] for row in rows}
    choice = Choice(source=source, is_forced=True, also_blanks=True)  # type: ignore[arg-type]
    return len(pull_within(context, binding.peer_id, choice, by=user, seen=seen).fields)
