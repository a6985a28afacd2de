"""Which contacts of the CRM a mailbox shows: a saved view, evaluated as the mailbox's user in the CRM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from connectors.contract import EVERYTHING, MINE, Record, ViewTerms
from reconciliation.models import CrmView, SyncPass, ViewMember

OWNER = "OwnerId"


@dataclass(frozen=True, slots=True)
class View:
    """The view of one mailbox. `row_id` None: one that is there in every organisation, by its scope alone. `why_not` says why
    it cannot be used; nothing is concluded about what is in it then (I8)."""

    scope: str
    user_id: str
    row_id: int | None = None
    where: str = ""
    fingerprint: str = ""
    why_not: str = ""

    @property
    def is_usable(self) -> bool:
        return not self.why_not

    @property
    def key(self) -> str:
        """Changes when the mailbox has to be compared as a whole, since something else is in view."""
        return f"{self.scope}:{self.row_id or ''}:{self.user_id}:{self.fingerprint}"

    def terms(self, object_type: str) -> ViewTerms:
        return ViewTerms(object_type, self.scope, self.where, self.fingerprint)

    def shown(self, records: Iterable[Record]) -> set[str]:
        """Returns the ids of those that are in view; a living record is known by its owner and by the list of members that
        the feed keeps."""
        alive = [r for r in records if not r.is_deleted]
        mine = [r for r in alive if self.scope != MINE or r.fields.get(OWNER) == self.user_id]
        ids = {r.ref.id for r in mine}
        if self.row_id is None or not self.where or not ids:
            return ids
        return set(ViewMember.objects.filter(view=self.row_id, record_id__in=ids).values_list("record_id", flat=True))


def view_row(sync_pass: SyncPass, view_id: str, object_type: str) -> CrmView:
    return CrmView.objects.get_or_create(connection=sync_pass.crm, object_type=object_type, view_id=view_id)[0]


def view_of(sync_pass: SyncPass, wanted: str, user_id: str, object_type: str) -> View:
    """Returns the view that a setting names: `mine`, `everything`, or the id of a saved one."""
    if wanted in (MINE, EVERYTHING):
        return View(wanted, user_id)
    row = view_row(sync_pass, wanted, object_type)
    why = row.why_not or ("" if row.described_at and row.is_read_for([user_id]) else "It was not read yet.")
    return View(row.scope, user_id, row.pk, row.where, row.fingerprint, why)
