"""Ways to break our side on purpose, one at a time: the histories must notice each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors.mailboxes import BIN, CATEGORIES, INSIDE, Sighting
from reconciliation.core import merging
from reconciliation.core.mailbox_settings import ALLOWED
from reconciliation.engine import mailbox_ends, mailbox_news, mailbox_sweep, pair_brakes, pair_reads
from reconciliation.engine.mailbox_view import View
from reconciliation.models import Binding, Case, Mailbox, Tombstone
from reconciliation.passes import contacts
from reconciliation.passes.pairs import Kind

Patch = pytest.MonkeyPatch


def takes_what_left_for_deleted(patch: Patch) -> None:
    """An @removed id is a deletion at once; nobody asks where the item lies."""
    patch.setattr(mailbox_ends, "where_they_are", lambda context, ids: dict.fromkeys(ids, BIN))


def forgets_what_was_taken_out(patch: Patch) -> None:
    patch.setattr(mailbox_ends, "COMES_BACK", (*mailbox_ends.COMES_BACK, Tombstone.Why.TAKEN_OUT))


def ignores_the_view_of_the_second_mailbox(patch: Patch) -> None:
    shown = View.shown

    def all_of_them(self: View, records: Any) -> set[str]:
        second = list(Mailbox.objects.order_by("pk").values_list("crm_user_id", flat=True))[1]
        return {r.ref.id for r in records if not r.is_deleted} if self.user_id == second else shown(self, records)

    patch.setattr(View, "shown", all_of_them)


def creates_before_it_searches(patch: Patch) -> None:
    patch.setattr(pair_reads, "by_keys", lambda *args, **more: [])


def deletes_though_it_is_forbidden(patch: Patch) -> None:
    decide = contacts.decide_gone
    patch.setattr(contacts, "decide_gone", lambda item, bound, known, terms: decide(item, bound, known, replace(terms, deletion=ALLOWED)))


def ignores_other_mailboxes(patch: Patch) -> None:
    patch.setattr(mailbox_ends, "_others", lambda context, ids: Counter())


def deletes_what_was_edited(patch: Patch) -> None:
    patch.setattr(contacts, "changed_fields", lambda *args: ())


def has_no_brake(patch: Patch) -> None:
    patch.setattr(pair_brakes, "look_at", lambda context, work: None)


def shares_what_nobody_shared(patch: Patch) -> None:
    """The category of what lies outside is not looked at."""
    process = mailbox_sweep._process

    def processed(context: Any, page: Any, round_: Any) -> None:
        process(context, replace(page, outside=tuple(Sighting(s.id, True) for s in page.outside)), round_)

    patch.setattr(mailbox_sweep, "_process", processed)


def takes_its_own_write_back(patch: Patch) -> None:
    """What was read before our write passes for an edit after it."""
    patch.setattr(mailbox_news, "as_they_are_still", lambda context, object_type, fresh: fresh)


def goes_by_what_left(patch: Patch) -> None:
    """The cursor moves past a page whose departures were not looked at."""
    patch.setattr(mailbox_sweep, "_process_gone", lambda context, ids: None)


def takes_every_item_for_inside(patch: Patch) -> None:
    patch.setattr(mailbox_ends, "where_they_are", lambda context, ids: dict.fromkeys(ids, INSIDE))


def forgets_what_left_the_view(patch: Patch) -> None:
    patch.setattr(mailbox_sweep, "note_views", lambda context, records, shown: {r.ref.id for r in records})


def lets_the_mailbox_win(patch: Patch) -> None:
    """Whatever the mapping says, and whoever was later."""
    patch.setattr(merging, "_winner", lambda rule, pair: ("peer", ""))


def writes_anew_beside_a_question(patch: Patch) -> None:
    """Where a person is asked about one contact, every look at another one writes its categories."""
    missing = Kind.missing

    def never_enough(self: Kind, crm: Any, peer: Any, terms: Any) -> dict[str, Any]:
        asked = Case.objects.filter(sync_pass__mailbox__address=terms.scope, state="open").exists() if terms.scope else False
        held = peer.fields.get(CATEGORIES)
        return missing(self, crm, peer, terms) | ({CATEGORIES: held} if asked and held else {})

    patch.setattr(Kind, "missing", never_enough)


def asks_on_small_pages(patch: Patch) -> None:
    """A list in small pages makes every run ask where its first contact lies."""
    process_gone = mailbox_sweep._process_gone

    def processed(context: Any, ids: Any) -> None:
        first = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False).first()
        if first is not None and context.peer.connection.settings["page_size"] < 50:
            mailbox_ends.where_they_are(context, [first.peer_id])
        process_gone(context, ids)

    patch.setattr(mailbox_sweep, "_process_gone", processed)


DEFECTS: dict[str, Callable[[Patch], None]] = {
    defect.__name__: defect
    for defect in (
        takes_what_left_for_deleted,
        forgets_what_was_taken_out,
        ignores_the_view_of_the_second_mailbox,
        creates_before_it_searches,
        deletes_though_it_is_forbidden,
        ignores_other_mailboxes,
        deletes_what_was_edited,
        has_no_brake,
        shares_what_nobody_shared,
        takes_its_own_write_back,
        goes_by_what_left,
        takes_every_item_for_inside,
        forgets_what_left_the_view,
        lets_the_mailbox_win,
        writes_anew_beside_a_question,
        asks_on_small_pages,
    )
}
SWITCHES = (
    "resends_in_doubt",
    "keeps_no_losers",
    "keeps_no_intent",
    "dates_edits_by_echo",
)  # of two-way passes, shown by mailboxes, too
