"""What the pages about unknown, made and blocked people share: whose they are, and which rows were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest

from reconciliation.models import Mailbox
from reconciliation.views.page import whole_number

Row = TypeVar("Row", bound=Model)


def my_mailbox(request: HttpRequest) -> Mailbox:
    """Returns the mailbox of the person of the request. Raises Http404."""
    mailbox = Mailbox.objects.select_related("connection").filter(user=request.user.pk).first()
    if mailbox is None:
        raise Http404("No mailbox belongs to this user.")
    return mailbox


def chosen_ids(request: HttpRequest) -> list[int]:
    """Returns the keys of the rows that a form chose."""
    found = (whole_number(text) for text in request.POST.getlist("chosen")[:5_000])
    return list(dict.fromkeys(key for key in found if key is not None))


def chosen_rows(request: HttpRequest, rows: QuerySet[Row], most: int) -> list[Row]:
    """Returns the chosen rows among these, at most so many and one more, which tells that there are too many."""
    return list(rows.filter(pk__in=chosen_ids(request)[: most + 1]))


# What the pages of one mailbox's user are called, by the names that staff's pages have.
OWN_PAGES: Mapping[str, str] = {
    name: f"my_mailbox_{name}"
    for name in (
        *("unresolved_list", "unresolved_decide", "blocklist", "blocklist_add", "blocklist_remove", "blocklist_put_back"),
        *("made_person_list", "made_person_detail", "made_person_complete", "made_person_decide"),
    )
}


def pages_of(mailbox: Mailbox | None) -> dict[str, str]:
    """Returns the names of the pages that a template leads to: staff's, or those of one mailbox's user."""
    return {name: f"admin:{own if mailbox is not None else name}" for name, own in OWN_PAGES.items()}
