"""Brakes of two-way passes: blanking, links that end, and one field changed in a large share of all records, counted over
the sweep; the page that trips one is parked as a plan (engine-rules 18)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from reconciliation.core.brakes import blanking_trips, changes_trip, deletions_trip
from reconciliation.core.counting import counted
from reconciliation.core.ledger import Outcome
from reconciliation.core.values import is_blank
from reconciliation.engine import brakes, pair_previews
from reconciliation.engine.context import RunContext
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Binding, SyncPass
from reconciliation.passes.contacts import TAKEN_OUT
from reconciliation.passes.pairs import ENDS, Kind, PairDecision

CHANGED, ENDED = "changed ", "links ended"


def look_at(context: RunContext, work: PairWork) -> None:
    """Counts what the page would do. Raises BrakeTripped with the plan parked, nothing of the page written."""
    own = Counter(name for d in work.decisions.values() for name in _counted(context.terms.kind, d))
    if not own:
        return
    counts = Counter(context.sync_pass.sweep_blanked) + own
    settings, approved = brakes.settings_of(context.sync_pass), set(context.sync_pass.approved_blanking)
    if max(counts.values()) <= min(settings.blanking_count, settings.deletion_count, settings.changed_count):
        return
    bound = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False).count()
    blanked = {n: c for n, c in counts.items() if not n.startswith(CHANGED) and n != ENDED}
    changed = {n.removeprefix(CHANGED): c for n, c in counts.items() if n.startswith(CHANGED)}
    tripped = [f"{n} would be blanked in {blanked[n]}" for n in blanking_trips(blanked, bound, approved, settings)]
    tripped += [f"{n} would be changed in {changed[n]}" for n in changes_trip(changed, bound, approved, settings)]
    if deletions_trip(counts[ENDED], bound, settings) and ENDED not in approved:
        tripped.append(f"the links of {counts[ENDED]} would end")
    if tripped:
        _park(context, work, f"Held: {'; '.join(tripped)} of {counted(bound, 'record')} in this sweep.")


def _park(context: RunContext, work: PairWork, sentence: str) -> None:
    waiting = brakes.waiting_plan(context)
    if waiting is None:
        pair_previews.store_plan(context, work)
    for decision in list(work.decisions.values()):
        if decision.is_act or _ends(decision):
            work.decide(
                replace(decision, outcome=Outcome.HELD, reason="brake", sentence=sentence, intents=(), case=None, is_link=False, merge=None)
            )
    raise brakes.BrakeTripped(sentence if waiting is None else f"{sentence} Its plan waits in run {waiting}.")


def remember(context: RunContext, work: PairWork) -> None:
    """Adds what the page really did to the sweep's count: a page that is tried again counts once."""
    counts = Counter(context.sync_pass.sweep_blanked)
    before = dict(counts)
    for id_ in work.done:
        counts.update(_counted(context.terms.kind, work.decisions[id_]))
    if dict(counts) != before:
        context.sync_pass.sweep_blanked = dict(counts)
        if context.moves_cursor:
            SyncPass.objects.filter(pk=context.sync_pass.pk).update(sweep_blanked=dict(counts))


def _ends(decision: PairDecision) -> bool:
    is_end = decision.reason in (*ENDS, TAKEN_OUT) and decision.outcome is not Outcome.HELD
    return is_end or any(intent.kind == "delete" for intent in decision.intents)


def _counted(kind: Kind, decision: PairDecision) -> Iterable[str]:
    """Returns what the brakes count of a decision: fields it blanks, fields it changes, and whether it ends a link."""
    if _ends(decision):
        yield ENDED
    for intent in decision.intents:
        if intent.kind != "update":
            continue
        for name, value in intent.after.items():
            if not kind.is_ours(name):
                yield f"{CHANGED}{name}"
            if is_blank(value):
                yield name
