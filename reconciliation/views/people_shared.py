"""What the pages about unknown, made and blocked people share: for whom each of them is there, and which rows were chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from reconciliation.models import Mailbox
from reconciliation.roles import OPERATE, OWN_MAILBOX
from reconciliation.views.page import View, action, page, whole_number

Row = TypeVar("Row", bound=Model)


def my_mailbox(request: HttpRequest) -> Mailbox:
    """Returns the mailbox of the person of the request. Raises Http404."""
    mailbox = Mailbox.objects.select_related("connection").filter(user=request.user.pk).first()
    if mailbox is None:
        raise Http404("No mailbox belongs to this user.")
    return mailbox


def for_both(view: View) -> tuple[View, View]:
    """Returns a page twice: for staff, and for the user of one mailbox. `view` is called with the request and that mailbox, None for
    staff: it shows what belongs to the mailbox, or everything."""
    return page()(_with(view, lambda request: None)), page(OWN_MAILBOX)(_with(view, my_mailbox))


def done_by_both(view: View, permission: str = OPERATE) -> tuple[View, View]:
    """As `for_both`, of a page that changes something; staff need the permission."""
    return action(permission)(_with(view, lambda request: None)), action(OWN_MAILBOX)(_with(view, my_mailbox))


def _with(view: View, whose: Callable[[HttpRequest], Mailbox | None]) -> View:
    @wraps(view)
    def shown(request: HttpRequest, **named: Any) -> HttpResponse:
        return view(request, whose(request), **named)

    return shown


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
