"""Keeps the list of fields that differ (models.Difference) while bindings are settled, in the same transaction.

A first link notes every field that differs (D25), an undo those it puts back; a comparison adds blanks the rule holds
back (D30) and strikes out what agrees by now. Created accounts cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciliation.core.differences import Standing, standing_differences
from reconciliation.core.mapping import Mapping as CoreMapping
from reconciliation.core.values import is_blank
from reconciliation.engine.context import RunContext
from reconciliation.engine.page_work import PageWork
from reconciliation.models import Binding, Connection, Difference, RemoteUser
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.organisations import LINKED, LINKED_AGAIN, OWNER
from reconciliation.store import decode_fields

Known = dict[int, list[Difference]]  # by the binding's key


@dataclass(frozen=True, slots=True)
class Settled:
    """One binding as it was just settled; `held` names the peer's fields whose blank the rule held back just now, `left`
    those that a person just left different."""

    binding: Binding
    is_link: bool
    held: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


def note_page(context: RunContext, work: PageWork, bindings: Iterable[Binding]) -> None:
    """Brings the list up to date for bindings of the page that were just settled."""
    settled = []
    for row in bindings:
        decision = work.decisions[row.crm_id]
        item = Settled(row, decision.bind_to is not None and decision.reason in (LINKED, LINKED_AGAIN), frozenset(decision.held_blanks))
        if item.is_link or item.held or row.crm_id in work.bindings:
            settled.append(item)
    if not settled:
        return
    if work.differences is None:
        work.differences = known_differences([row.pk for row in work.bindings.values()])
    _note(context, settled, work.differences)


def note_link(context: RunContext, binding: Binding) -> None:
    """Notes what differs between two records that a person linked."""
    _note(context, [Settled(binding, is_link=True)], known_differences([binding.pk]))


def note_undone(context: RunContext, binding: Binding, fields: Iterable[str]) -> None:
    """Notes the fields that an undo put back in the peer: they differ from now on, and no pass settles them."""
    _note(context, [Settled(binding, is_link=False, left=frozenset(fields))], known_differences([binding.pk]))


def note_agreed(context: RunContext, binding: Binding) -> None:
    """Strikes out what agrees by now."""
    _note(context, [Settled(binding, is_link=False)], known_differences([binding.pk]))


def known_differences(keys: Sequence[int]) -> Known:
    known: Known = {}
    for row in Difference.objects.filter(binding__in=keys) if keys else ():
        known.setdefault(row.binding_id, []).append(row)
    return known


def _note(context: RunContext, settled: list[Settled], known: Known) -> None:
    concerned = [s for s in settled if s.is_link or s.held or s.left or known.get(s.binding.pk)]
    if not concerned:
        return
    mapping, now = context.terms.mapping, context.wiring.now()
    users = users_known(context.peer.connection, mapping, (s.binding.crm_base for s in concerned))
    stale: list[int] = []
    rows: list[Difference] = []
    for item in concerned:
        before = known.get(item.binding.pk, [])
        kept = _kept(item, {d.peer_field for d in before}, mapping, users)
        stale += [d.pk for d in before if d.peer_field not in kept]
        made = [difference_row(item.binding, standing, now) for standing in kept.values()]
        known[item.binding.pk] = made
        rows += made
    if stale:
        Difference.objects.filter(pk__in=stale).delete()
    insert_rows(rows, unique=["binding", "peer_field"], update=["kind", "name_key", "crm_field", "crm_value", "peer_value"])


def _kept(item: Settled, before: set[str], mapping: CoreMapping, users: Mapping[str, str]) -> dict[str, Standing]:
    standing = standing_differences(mapping, decode_fields(item.binding.crm_base), decode_fields(item.binding.peer_base), users)
    if item.is_link:
        return standing
    return {name: s for name, s in standing.items() if name in before or name in item.left or (s.is_held_blank and name in item.held)}


def difference_row(binding: Binding, standing: Standing, at: datetime) -> Difference:
    rule = standing.rule
    return Difference(
        sync_pass_id=binding.sync_pass_id,
        binding=binding,
        kind=Difference.Kind.BLANK if standing.is_held_blank else Difference.Kind.LINKED,
        name_key=binding.name_key,
        crm_field=rule.crm,
        peer_field=rule.peer,
        crm_value=binding.crm_base.get(rule.crm),
        peer_value=binding.peer_base.get(rule.peer),
        noted_at=at,
    )


def users_known(connection: Connection, mapping: CoreMapping, bases: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Returns username -> user id of the owners that these values name, from what was looked up so far."""
    columns = [rule.crm for rule in mapping.rules if rule.peer == OWNER]
    names = {str(base[c]) for base in bases for c in columns if not is_blank(base.get(c))}  # type: ignore[arg-type]
    if not names:
        return {}
    rows = RemoteUser.objects.filter(connection=connection, username__in=names).exclude(user_id="")
    return dict(rows.values_list("username", "user_id"))
