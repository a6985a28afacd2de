"""Calendar items and tasks that mailboxes share: which they are and why, both sides of one, whom it is linked to, what waits for a
person, and taking them back. Of one's own mailbox `shared_items` shows the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.core.counting import counted
from reconciliation.defaults.events import EVENTS_PASS
from reconciliation.filters import of_mailboxes
from reconciliation.models import Case, Mailbox, MailboxItem
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count, pass_named
from reconciliation.services import item_pages as pages
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.item_take_back import MOST_AT_ONCE, TakenBack, items_take_back
from reconciliation.services.items import item_link, item_send_update
from reconciliation.templatetags.sync import in_words
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render
from reconciliation.views.people_shared import chosen_rows

KINDS = [("event", "Events"), ("task", "Tasks")]
COLUMNS = (
    Column("name", lambda i: i.name),
    Column("kind", lambda i: i.object_type),
    Column("mailbox", lambda i: i.sync_pass.mailbox_address),
    Column("starts", lambda i: i.starts_at),
    Column("ends", lambda i: i.ends_at),
    Column("state", lambda i: i.get_state_display()),
    Column("shared by", lambda i: pages.WHY_TITLES.get(i.why, i.why)),
    Column("why", lambda i: i.sentence or in_words(i.reason)),
    Column("private", lambda i: i.is_private),
    Column("guests", lambda i: i.guests),
    Column("waits for Send update", lambda i: ", ".join(map(str, i.held))),
    Column("type in the CRM", lambda i: i.crm_type),
    Column("id in the CRM", lambda i: i.crm_id),
    Column("linked to", lambda i: ", ".join(str(i.links[n]) for n in ("who", "what") if i.links.get(n))),
    Column("known since", lambda i: i.since),
    Column("seen", lambda i: i.seen_at),
)
DATE = forms.DateInput(attrs={"type": "date"})
MOST_TOLD = 5  # sentences of one kind after an act on many
OF_TILES = ("state", "held", "private")  # what the tiles choose by
KEEP, BY_RULES, NOBODY = "keep", "rules", "nobody"  # what a form chooses beside a record


class ItemFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(field_name="name", lookup_expr="icontains", label="Name has")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")
    kind = django_filters.ChoiceFilter(field_name="object_type", choices=KINDS, empty_label="Events and tasks", label="Kind")
    state = django_filters.ChoiceFilter(choices=MailboxItem.State.choices, empty_label="Any state", label="State")
    why = django_filters.ChoiceFilter(choices=list(pages.WHY_TITLES.items()), empty_label="Any way", label="Shared by")
    held = django_filters.ChoiceFilter(
        field_name="is_held", method="by_held", choices=[("yes", "Wait for “Send update”")], empty_label="All", label="Waiting"
    )
    private = django_filters.ChoiceFilter(
        method="by_private", choices=[("yes", "Private"), ("no", "Not private")], empty_label="All", label="Private"
    )
    since = django_filters.DateFilter(field_name="starts_at", lookup_expr="date__gte", label="From", widget=DATE)
    until = django_filters.DateFilter(field_name="starts_at", lookup_expr="date__lte", label="To", widget=DATE)

    class Meta:
        model = MailboxItem
        fields: list[Any] = []

    def __init__(self, data: Any, queryset: QuerySet[MailboxItem], *, own: Mailbox | None = None) -> None:
        super().__init__(data, queryset)
        if own is not None:
            del self.filters["mailbox"]

    def by_mailbox(self, rows: QuerySet[MailboxItem], name: str, value: str) -> QuerySet[MailboxItem]:
        return of_mailboxes(rows, value)

    def by_held(self, rows: QuerySet[MailboxItem], name: str, value: str) -> QuerySet[MailboxItem]:
        return rows.filter(is_held=True)

    def by_private(self, rows: QuerySet[MailboxItem], name: str, value: str) -> QuerySet[MailboxItem]:
        return rows.filter(is_private=value == "yes")


# What the pages of one mailbox's user are called, by the names that staff's pages have.
OWN_PAGES = {
    "item_list": "my_mailbox_shared",
    "item_detail": "my_mailbox_shared_item",
    "item_take_back": "my_mailbox_shared_take_back",
    "item_send_update": "my_mailbox_shared_send_update",
    "item_link": "my_mailbox_shared_link",
}


def pages_of(own: Mailbox | None) -> dict[str, str]:
    """Returns the names of the pages that a template leads to: staff's, or those of one mailbox's user."""
    return {name: f"admin:{mine if own is not None else name}" for name, mine in OWN_PAGES.items()}


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = ItemFilter(request.GET, pages.items_listed())
    return render(
        request,
        "admin/reconciliation/item/list.html",
        f"Calendar items: {bounded_count(chosen.qs)}",
        sync_pass=pass_named(EVENTS_PASS),
        filter=chosen,
        tiles=_tiles(request),
        why_titles=pages.WHY_TITLES,
        rows=paginate(request, chosen.qs),
        pages=pages_of(None),
    )


def _tiles(request: HttpRequest) -> list[pages.Tile]:
    """Returns the numbers over what the filter leaves, but for the part of it that a tile itself chooses."""
    rest = request.GET.copy()
    for name in (*OF_TILES, "page"):
        rest.pop(name, None)
    return pages.item_tiles(ItemFilter(rest, pages.items_listed()).qs, rest.urlencode())


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "calendar-items", COLUMNS, ItemFilter(request.GET, pages.items_listed()).qs)


# --- one item ---------------------------------------------------------------------------------------------------------


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    return item_page(request, get_object_or_404(pages.items_listed(), pk=pk), None, may_act=request.user.has_perm(OPERATE))


def item_page(request: HttpRequest, item: MailboxItem, own: Mailbox | None, *, may_act: bool) -> HttpResponse:
    """Shows one item to staff, or to the user of its mailbox."""
    now = pages.item_look(item) if request.GET.get("now") == "yes" else None
    binding = pages.binding_of(item)
    fields, text = pages.fields_of(item, binding, now), request.GET.get("q", "").strip()[:200]
    found = pages.records_found(text, user_id=own.crm_user_id if own is not None else None) if text and may_act else None
    return render(
        request,
        "admin/reconciliation/item/detail.html",
        "Event" if item.object_type == "event" else "Task",
        item=item,
        own=own,
        pages=pages_of(own),
        may_act=may_act,
        mailbox=item.sync_pass.mailbox,
        why_words=pages.WHY_WORDS.get(item.why, ""),
        binding=binding,
        now=now,
        fields=fields,
        waiting=[f.peer_title for f in fields if f.is_waiting] or item.held,
        links=pages.links_shown(item),
        seen_by=pages.seen_by(item),
        crm_url=pages.record_url(item),
        item_url=pages.item_url(item),
        text=text,
        found=found,
        writes=pages.writes_of(item),
        events=pages.events_of(item) if own is None else [],
        case=_case(item) if own is None else None,
    )


def _case(item: MailboxItem) -> Case | None:
    rows = Case.objects.filter(sync_pass=item.sync_pass, state=Case.State.OPEN, peer_id=item.item_id)
    return rows.order_by("pk").first()


@action(OPERATE)
def send_update(request: HttpRequest, pk: int) -> HttpResponse:
    return send_update_of(request, get_object_or_404(pages.items_listed(), pk=pk), None)


def send_update_of(request: HttpRequest, item: MailboxItem, own: Mailbox | None) -> HttpResponse:
    """Writes what waits into the calendar; as many guests are mailed as the person was told."""
    if str(item.guests) != request.POST.get("guests"):
        raise DecisionRefused("Who is invited has changed since you looked. Look again. Nothing was sent.")
    done = item_send_update(item, request.user)  # type: ignore[arg-type]
    messages.success(request, done.sentence)
    return redirect(pages_of(own)["item_detail"], item.pk)


@action(OPERATE)
def link(request: HttpRequest, pk: int) -> HttpResponse:
    return link_of(request, get_object_or_404(pages.items_listed(), pk=pk), None)


def link_of(request: HttpRequest, item: MailboxItem, own: Mailbox | None) -> HttpResponse:
    """Links the record of an item to whom, and what, the form chose."""
    chosen = item.links.get("chosen") or {}
    who = choice_in_form(request.POST.get("who", KEEP)[:18], chosen.get("who"), pages.WHO_IDS)
    what = choice_in_form(request.POST.get("what", KEEP)[:18], chosen.get("what"), pages.WHAT_IDS)
    if own is not None:
        pages.refuse_unreadable(own, [id_ for id_ in (who, what) if id_ and id_ not in (chosen.get("who"), chosen.get("what"))])
    done = item_link(item, request.user, who=who, what=what, others=chosen.get("others"))  # type: ignore[arg-type]
    messages.success(request, done.sentence)
    return redirect(pages_of(own)["item_detail"], item.pk)


def choice_in_form(text: str, before: str | None, begins: tuple[str, ...]) -> str | None:
    """Returns what a form chose: an id, "" for nobody, None for what the rules say."""
    if text == KEEP:
        return before
    return None if text == BY_RULES else "" if text == NOBODY else pages.chosen_id(text, begins)


# --- taking back ------------------------------------------------------------------------------------------------------


@action(OPERATE)
def take_back(request: HttpRequest) -> HttpResponse:
    return take_back_of(request, None)


def take_back_of(request: HttpRequest, own: Mailbox | None) -> HttpResponse:
    """Shows what taking the chosen items back means, then, confirmed, does it."""
    rows = chosen_rows(request, pages.items_listed(own), MOST_AT_ONCE)
    if not rows:
        raise DecisionRefused("Choose at least one item. Nothing was done.")
    if len(rows) > MOST_AT_ONCE:
        raise DecisionRefused(f"At most {MOST_AT_ONCE} at once. Nothing was done.")
    if request.POST.get("confirmed") != "yes":
        title = f"Take back: {counted(len(rows), 'item')}"
        return render(request, "admin/reconciliation/item/confirm.html", title, rows=rows, own=own, pages=pages_of(own))
    tell(request, items_take_back(rows, request.user), "item was", "items were")  # type: ignore[arg-type]
    return redirect(pages_of(own)["item_list"])


def tell(request: HttpRequest, done: TakenBack, one: str, many: str) -> None:
    if done.count:
        messages.success(request, f"{counted(done.count, one, many)} taken back.")
    _tell_some(request, "Left as it is", done.refused, "were left as they are")
    _tell_some(request, "Taken back", done.remarks, "kept their category")


def _tell_some(request: HttpRequest, what: str, sentences: Sequence[str], rest: str) -> None:
    for sentence in sentences[:MOST_TOLD]:
        messages.warning(request, f"{what}: {sentence}")
    if len(sentences) > MOST_TOLD:
        messages.warning(request, f"{len(sentences) - MOST_TOLD} more {rest}.")
