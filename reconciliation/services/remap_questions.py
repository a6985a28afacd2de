"""The questions which record of the CRM a prospect belongs to, and those answers that move no link: keep, and close what has
nothing left to choose. Each can be taken back: the question is open again then, and a remembered no is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine.cases import NO_CANDIDATE
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, RememberedPair, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.matches import Matches, ProspectGone, find_matches, prospects_pass
from reconciliation.services.policy import refuse_unless_remap

MOST_AT_ONCE = 200
KEEP = "keep"
TAKEN_BACK = (KEEP, NO_CANDIDATE)  # what `remap_ask_again` takes back; a remap is taken back in the journal


def refuse_to_show_matches(matches: Matches) -> None:
    """Raises DecisionRefused for a linked prospect while remapping is off (S2.5), unless a question about it is open: to keep
    the present CRM ID answers that under either policy."""
    if matches.binding is not None and not matches.binding.is_asked:  # type: ignore[attr-defined]  # set by `bindings_of`
        refuse_unless_remap(matches.allows_remap)


def asked_prospects(sync_pass: SyncPass, import_id: int | None = None) -> list[str]:
    """Returns the prospects that wait for a choice, the oldest question first: of one import, or of all."""
    rows = Case.objects.filter(sync_pass=sync_pass, kind=Case.Kind.REMAP, state=Case.State.OPEN).exclude(peer_id="")
    if import_id is not None:
        rows = rows.filter(import_rows__batch=import_id)
    return list(dict.fromkeys(rows.order_by("pk").values_list("peer_id", flat=True)))


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions about one prospect: those that are open, and those of the last answer that can be taken back."""

    open: tuple[Case, ...] = ()
    answered: tuple[Case, ...] = ()


def questions_of(sync_pass: SyncPass, prospect_id: str, binding: Binding | None) -> Questions:
    """Returns the questions about a prospect, in one query. An answer that was given about another link than the present one
    is none any more."""
    rows = Case.objects.filter(sync_pass=sync_pass, kind=Case.Kind.REMAP, peer_id=prospect_id).exclude(peer_id="")
    found = list(rows.exclude(state=Case.State.CLOSED).select_related("decided_by").order_by("-closed_at", "-pk"))
    waiting = tuple(case for case in found if case.is_open)
    return Questions(waiting, tuple(last_answered(found, binding)))


def last_answered(cases: Iterable[Case], binding: Binding | None) -> list[Case]:
    """Returns those of a prospect's cases that its last answer closed and that can be opened again, the latest first."""
    of_remap = [case for case in cases if case.kind == Case.Kind.REMAP]
    asked, link = {case.crm_id for case in of_remap if case.is_open}, _link(binding)
    found = [c for c in of_remap if c.decision in TAKEN_BACK and c.decided.get("link", link) == link and c.crm_id not in asked]
    last = max((case.closed_at for case in found if case.closed_at is not None), default=None)
    return [case for case in found if case.closed_at == last]


def link_of(sync_pass: SyncPass, prospect_id: str) -> Binding | None:
    return Binding.objects.filter(sync_pass=sync_pass, peer_id=prospect_id, is_tombstone=False).first()


def _link(binding: Binding | None) -> list[str]:
    return [binding.crm_type, binding.crm_id] if binding is not None else []


def remember(sync_pass: SyncPass, peer_id: str, crm_ids: Sequence[str], by: AbstractBaseUser | None) -> None:
    """Remembers that the prospect belongs to none of these."""
    rows = [RememberedPair(sync_pass=sync_pass, crm_id=id_, peer_id=peer_id, decided_by_id=by.pk if by else None) for id_ in crm_ids]
    RememberedPair.objects.bulk_create(rows, ignore_conflicts=True)


def forget(sync_pass: SyncPass, peer_id: str, crm_ids: Sequence[str]) -> list[RememberedPair]:
    """Forgets that the prospect belongs to none of these, and returns what was remembered."""
    rows = RememberedPair.objects.filter(sync_pass=sync_pass, peer_id=peer_id, crm_id__in=crm_ids)
    pairs = list(rows)
    rows.delete()
    return pairs


def remap_keep(prospect_id: str, by: AbstractBaseUser, *, reason: str = "") -> int:
    """Keeps the present CRM ID, or none: closes what asked, and lets no later edit of those records ask again. No pointer
    changes, so it is allowed under either policy. Returns how many questions were closed. Raises DecisionRefused."""
    sync_pass = prospects_pass()
    with transaction.atomic():
        asked = _close(sync_pass, prospect_id, KEEP, by, reason)
        remember(sync_pass, prospect_id, [case.crm_id for case in asked], by)
    return len(asked)


def remap_keep_linked(by: AbstractBaseUser) -> int:
    """Keeps every linked prospect that waits for a choice on its present CRM ID, at most MOST_AT_ONCE, and returns how many.
    It asks nobody's policy: nothing is remapped."""
    sync_pass = prospects_pass()
    links = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False, peer_id__in=asked_prospects(sync_pass))
    linked = list(links.order_by("pk").values_list("peer_id", flat=True)[:MOST_AT_ONCE])
    return sum(remap_keep(peer_id, by) > 0 for peer_id in linked)


def remap_close(prospect_id: str, by: AbstractBaseUser, *, reason: str = "", wiring: Wiring | None = None) -> int:
    """Closes the questions about a prospect that has nothing left to choose from, and returns how many. Nobody says no to a
    record by that: the same question is opened again when one turns up again. Raises DecisionRefused while there is something
    to choose, or when that cannot be told; ConnectorError."""
    sync_pass = prospects_pass()
    try:
        matches = find_matches(sync_pass, prospect_id, wiring=wiring)
    except ProspectGone:
        pass  # nothing is left that could be linked
    else:
        if matches.trouble:
            raise DecisionRefused(f"{matches.trouble}. Whether a record is left to choose cannot be told now. Nothing was done.")
        if matches.has_choice:
            raise DecisionRefused("A record that can be chosen is there by now. Look at the matches again. Nothing was done.")
    with transaction.atomic():
        return len(_close(sync_pass, prospect_id, NO_CANDIDATE, by, reason))


def _close(sync_pass: SyncPass, prospect_id: str, decision: str, by: AbstractBaseUser, reason: str) -> list[Case]:
    rows = Case.objects.select_for_update().filter(sync_pass=sync_pass, kind=Case.Kind.REMAP, state=Case.State.OPEN, peer_id=prospect_id)
    asked = list(rows)
    answer = {"decision": decision, "decided": {"link": _link(link_of(sync_pass, prospect_id))}, "decided_by": by, "note": reason}
    Case.objects.filter(pk__in=[c.pk for c in asked]).update(state=Case.State.RESOLVED, closed_at=timezone.now(), **answer)
    audit(by, f"remap: {decision}", f"prospect {prospect_id}", cases=len(asked), **({"reason": reason} if reason else {}))
    return asked


def remap_ask_again(prospect_id: str, by: AbstractBaseUser, *, reason: str = "") -> int:
    """Takes the last answer about a prospect back: its questions are open again, and what was remembered with them is
    forgotten. Returns how many are open again. Raises DecisionRefused."""
    sync_pass = prospects_pass()
    with transaction.atomic():
        binding = link_of(sync_pass, prospect_id)
        pks = [case.pk for case in questions_of(sync_pass, prospect_id, binding).answered]
        again = list(Case.objects.select_for_update().filter(pk__in=pks, state=Case.State.RESOLVED))
        if not again:
            raise DecisionRefused("There is no answer to take back: it was taken back already, or decided anew. Nothing was done.")
        if binding is not None:
            refuse_unless_remap()
        forget(sync_pass, prospect_id, [case.crm_id for case in again if case.decision == KEEP])
        note = reason or "Opened again: the answer was taken back."
        reopened = {"state": Case.State.OPEN, "decision": "", "decided": {}, "decided_by": None, "closed_at": None}
        Case.objects.filter(pk__in=[case.pk for case in again]).update(**reopened, note=note, opened_at=timezone.now())
        audit(by, "remap: ask again", f"prospect {prospect_id}", cases=len(again), was=again[0].decision)
    return len(again)
