"""The copies of one Salesforce contact in mailboxes: where it stands, since when both agree, and what waits. Reads our own
store only; what both sides hold now, and why a field stays different, says the page of one copy."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Subquery

from connectors.contract import Ref
from reconciliation.models import Binding, Case, Difference
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.pull import NOT_LINKED, RELATED

MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Copy:
    """One mailbox that holds, or held, the contact. `case` is what waits for a person about it."""

    binding: Binding
    case: Case | None = None
    is_different: bool = False

    @property
    def word(self) -> str:
        """How it stands, in words."""
        if self.binding.is_tombstone:
            return "Not linked any more"
        if self.case is not None:
            return self.case.get_kind_display()
        if self.binding.is_retry_due:
            return "Waits for the next run"
        if self.binding.is_out_of_view:
            return "Not in the view any more"
        return "Differs in some fields" if self.is_different else "In agreement"

    @property
    def chip(self) -> str:
        """The look of the word."""
        return "open" if self.case is not None else "ok" if self.word == "In agreement" else "waiting"


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies of a contact, those that hold first; `is_cut` where there are more."""

    rows: list[Copy]
    is_cut: bool = False


def copies_of(ref: Ref) -> Copies:
    """Returns the copies of a record of the CRM, in one query."""
    case = Case.objects.filter(sync_pass=OuterRef("sync_pass"), state=Case.State.OPEN, peer_id=OuterRef("peer_id")).exclude(peer_id="")
    newest = {f"case_{name}": Subquery(case.order_by("-pk").values(name)[:1]) for name in ("pk", "kind", "sentence")}
    rows = Binding.objects.filter(sync_pass__parent__isnull=False, crm_type=ref.object_type, crm_id=ref.id)
    rows = rows.filter(sync_pass__crm__system=ref.system).select_related("sync_pass__mailbox", "sync_pass__peer", "sync_pass__crm")
    rows = rows.annotate(**newest, is_different=Exists(Difference.objects.filter(binding=OuterRef("pk"))))
    found = list(rows.order_by("is_tombstone", "sync_pass__mailbox__address", "pk")[: MOST_LISTED + 1])
    return Copies([_copy(row) for row in found[:MOST_LISTED]], len(found) > MOST_LISTED)


def _copy(row: Binding) -> Copy:
    pk, kind, sentence = row.case_pk, row.case_kind, row.case_sentence  # type: ignore[attr-defined]  # annotated
    case = Case(pk=pk, kind=kind, sentence=sentence) if pk is not None else None
    return Copy(row, case, row.is_different)  # type: ignore[attr-defined]


def copy_linked(pk: int) -> Binding:
    """Returns the link of one copy, with its pass and mailbox. Raises DecisionRefused where it does not hold any more."""
    rows = Binding.objects.filter(pk=pk, is_tombstone=False, sync_pass__mailbox__isnull=False).select_related(*RELATED)
    binding = rows.first()
    if binding is None:
        raise DecisionRefused(NOT_LINKED)
    return binding
