"""Blocklists: the organisation's, and each mailbox user's own; and the domains that are our own."""

from __future__ import annotations

from typing import Any

import django_filters
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from reconciliation.core.counting import counted
from reconciliation.models import BlockedAddress, Mailbox, OwnDomain
from reconciliation.roles import ADMINISTER
from reconciliation.selectors import bounded_count
from reconciliation.services.blocklists import (
    Added,
    domain_add,
    domain_switch,
    domains_look_up,
    entries_add,
    entries_of,
    entries_put_back,
    entries_remove,
)
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render
from reconciliation.views.people_shared import chosen_ids, done_by_both, for_both, pages_of

COLUMNS = (
    Column("entry", lambda b: b.entry),
    Column("holds for", lambda b: b.mailbox.address if b.mailbox else "everybody"),
    Column("note", lambda b: b.note),
    Column("by", lambda b: b.by_name),
    Column("since", lambda b: b.at),
    Column("removed", lambda b: b.removed_at),
    Column("removed by", lambda b: b.removed_by_name),
)
MOST_NAMED = 10


class BlockFilter(django_filters.FilterSet):
    entry = django_filters.CharFilter(method="by_entry", label="Address or domain holds")
    show = django_filters.ChoiceFilter(
        method="by_state", choices=[("removed", "Removed"), ("all", "All")], empty_label="In force", label="Entries"
    )

    class Meta:
        model = BlockedAddress
        fields: list[Any] = []

    def filter_queryset(self, queryset: QuerySet[BlockedAddress]) -> QuerySet[BlockedAddress]:
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("show") else rows.filter(removed_at=None)

    def by_entry(self, rows: QuerySet[BlockedAddress], name: str, value: str) -> QuerySet[BlockedAddress]:
        return rows.filter(entry__icontains=value.strip().lower())

    def by_state(self, rows: QuerySet[BlockedAddress], name: str, value: str) -> QuerySet[BlockedAddress]:
        return rows if value == "all" else rows.filter(removed_at__isnull=False)


class AllBlocksFilter(BlockFilter):
    """With the lists of all mailboxes, for staff."""

    whose = django_filters.CharFilter(method="by_mailbox", label="List of mailbox")

    def by_mailbox(self, rows: QuerySet[BlockedAddress], name: str, value: str) -> QuerySet[BlockedAddress]:
        of_one = BlockedAddress.objects.filter(mailbox__address__iexact=value.strip()).select_related("mailbox").order_by("-at", "-pk")
        return of_one if value.strip() else rows


def _rows(mailbox: Mailbox | None) -> QuerySet[BlockedAddress]:
    return entries_of(mailbox).select_related("mailbox")


def _show(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    chosen = (AllBlocksFilter if mailbox is None else BlockFilter)(request.GET, _rows(mailbox))
    is_of_another = mailbox is None and bool(request.GET.get("whose", "").strip())
    return render(
        request,
        "admin/reconciliation/blocklist/show.html",
        f"Blocklist: {bounded_count(entries_of(mailbox).filter(removed_at=None))}",
        filter=chosen,
        rows=paginate(request, chosen.qs),
        own=mailbox,
        pages=pages_of(mailbox),
        may_change=(mailbox is not None or request.user.has_perm(ADMINISTER)) and not is_of_another,
        is_removed=request.GET.get("show") == "removed",
    )


show, show_mine = for_both(_show)


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "blocklist", COLUMNS, AllBlocksFilter(request.GET, _rows(None)).qs)


def _add(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    given = request.POST
    allows_endings = given.get("endings") == "yes"
    done = entries_add(given.get("entries", ""), request.user, mailbox, note=given.get("note", ""), allows_endings=allows_endings)
    tell = messages.success if done.new else messages.warning
    tell(request, _told(done))
    return redirect(pages_of(mailbox)["blocklist"])


add, add_mine = done_by_both(_add, ADMINISTER)


def _told(done: Added) -> str:
    parts = [f"{counted(len(done.new), 'entry was', 'entries were')} added"]
    parts += [f"{counted(len(done.known), 'entry stood', 'entries stood')} there already"] if done.known else []
    said = ", ".join(f"“{word}”" for word in done.refused[:MOST_NAMED])
    more = f" and {len(done.refused) - MOST_NAMED} more" if len(done.refused) > MOST_NAMED else ""
    parts += [f"no address and no domain: {said}{more}"] if done.refused else []
    return f"{'; '.join(parts)}."


def _remove(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    count = entries_remove(chosen_ids(request), request.user, mailbox)
    messages.success(request, f"{counted(count, 'entry was', 'entries were')} removed; filter by “Removed” to put them back.")
    return redirect(pages_of(mailbox)["blocklist"])


remove, remove_mine = done_by_both(_remove, ADMINISTER)


def _put_back(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    count = entries_put_back(chosen_ids(request), request.user, mailbox)
    messages.success(request, f"{counted(count, 'entry is', 'entries are')} in force again.")
    return redirect(pages_of(mailbox)["blocklist"])


put_back, put_back_mine = done_by_both(_put_back, ADMINISTER)


# --- own domains ----------------------------------------------------------------------------------------------------------

DOMAIN_COLUMNS = (
    Column("domain", lambda d: d.domain),
    Column("is ours", lambda d: d.is_on),
    Column("found in", lambda d: d.get_source_display()),
    Column("by", lambda d: d.by_name),
    Column("since", lambda d: d.at),
)


@page()
def domains(request: HttpRequest) -> HttpResponse:
    rows = OwnDomain.objects.order_by("-is_on", "domain")
    return render(
        request,
        "admin/reconciliation/own_domain/list.html",
        f"Own domains: {bounded_count(rows.filter(is_on=True))}",
        rows=paginate(request, rows),
        pages=pages_of(None),
        may_change=request.user.has_perm(ADMINISTER),
    )


@page()
def export_domains(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "own-domains", DOMAIN_COLUMNS, OwnDomain.objects.all())


@action(ADMINISTER)
def add_domain(request: HttpRequest) -> HttpResponse:
    row = domain_add(request.POST.get("domain", ""), request.user)
    messages.success(request, f"Whoever has an address of {row.domain} counts as a colleague from the next run on.")
    return redirect("admin:own_domain_list")


@action(ADMINISTER)
def switch_domain(request: HttpRequest, pk: int) -> HttpResponse:
    is_on = request.POST.get("is_on") == "yes"
    try:
        row = domain_switch(pk, is_on, request.user)
    except OwnDomain.DoesNotExist:
        raise Http404("There is no such domain.") from None
    messages.success(request, f"{row.domain} is {'one of ours' if is_on else 'none of ours'} from the next run on.")
    return redirect("admin:own_domain_list")


@action(ADMINISTER)
def look_up_domains(request: HttpRequest) -> HttpResponse:
    new = domains_look_up(request.user)
    said = f"New: {', '.join(new[:MOST_NAMED])}." if new else "Nothing new was found."
    messages.success(request, f"The domains of mailboxes and of Salesforce users were read. {said}")
    return redirect(reverse("admin:own_domain_list"))
