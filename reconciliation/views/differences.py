"""Differences since linking and held blanks: the list, what forcing would write, and doing it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import django_filters
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from reconciliation import jobs
from reconciliation.core.counting import are, bent
from reconciliation.core.values import normalise_name
from reconciliation.filters import of_mailboxes, of_pass
from reconciliation.models import Difference, FieldRule, SyncPass
from reconciliation.models.prefix import starts_with
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count
from reconciliation.services.differences import MOST_AT_ONCE, chosen, force, force_plan
from reconciliation.templatetags.sync import shown
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import or_told, page, paginate, render, whole_number

COLUMNS = (
    Column("record", lambda d: d.binding.name),
    Column("CRM", lambda d: d.sync_pass.crm.get_system_display()),
    Column("CRM object", lambda d: d.binding.crm_type),
    Column("CRM id", lambda d: d.binding.crm_id),
    Column("mailbox", lambda d: d.sync_pass.mailbox_address),
    Column("other system", lambda d: d.sync_pass.peer.get_system_display()),
    Column("object there", lambda d: d.binding.peer_type),
    Column("id there", lambda d: d.binding.peer_id),
    Column("field in the CRM", lambda d: d.crm_field),
    Column("field there", lambda d: d.peer_field),
    Column("the CRM holds", lambda d: shown(d.crm_value)),
    Column("the other system holds", lambda d: shown(d.peer_value)),
    Column("since", lambda d: d.noted_at),
)


class DifferenceFilter(django_filters.FilterSet):
    kind = django_filters.ChoiceFilter(choices=Difference.Kind.choices, empty_label=None, label="Which")
    field = django_filters.ChoiceFilter(field_name="peer_field", choices=[], empty_label="Any field", label="Field in the other system")
    name = django_filters.CharFilter(method="by_name", label="Name starts with")
    sync_pass = django_filters.ModelChoiceFilter(
        queryset=SyncPass.objects.whole().order_by("pk"), method="by_pass", empty_label="Any pass", label="Pass"
    )
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")

    def by_pass(self, rows: QuerySet[Difference], name: str, value: SyncPass) -> QuerySet[Difference]:
        return of_pass(rows, value.pk) if value.children.exists() else rows.filter(sync_pass=value)

    def by_mailbox(self, rows: QuerySet[Difference], name: str, value: str) -> QuerySet[Difference]:
        return of_mailboxes(rows, value)

    class Meta:
        model = Difference
        fields = ["kind"]

    def __init__(self, data: Any, queryset: QuerySet[Difference]) -> None:
        data = data.copy()
        data.setdefault("kind", Difference.Kind.LINKED)
        super().__init__(data, queryset)
        names = FieldRule.objects.order_by("peer_field").values_list("peer_field", flat=True)[:200]
        self.filters["field"].extra["choices"] = [(n, n) for n in dict.fromkeys(names)]

    def by_name(self, rows: QuerySet[Difference], name: str, value: str) -> QuerySet[Difference]:
        return rows.filter(starts_with("name_key", normalise_name(value))).order_by("name_key", "id")


def _rows(asked: QueryDict) -> DifferenceFilter:
    rows = Difference.objects.filter(binding__is_tombstone=False).select_related("binding")
    return DifferenceFilter(asked, rows.order_by("-id"))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    listed = _rows(request.GET)
    is_blank = listed.data.get("kind") == Difference.Kind.BLANK
    name = "held-blanks" if is_blank else "differences"
    return export_rows(request, name, COLUMNS, listed.qs, prepare=_with_passes)


def _with_passes(rows: Iterable[Difference]) -> None:
    """Gives the rows their pass with its connections: joined in the query they would cost it the order of its index."""
    passes = {p.pk: p for p in SyncPass.objects.filter(pk__in={d.sync_pass_id for d in rows}).select_related("crm", "peer", "mailbox")}
    for row in rows:
        row.sync_pass = row.binding.sync_pass = passes[row.sync_pass_id]


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    listed = _rows(request.GET)
    is_blank = listed.data.get("kind") == Difference.Kind.BLANK
    count = bounded_count(listed.qs)
    rows = paginate(request, listed.qs)
    _with_passes(rows)
    title = f"{'Held blanks' if is_blank else 'Differences since linking'}: {count}"
    return render(
        request,
        "admin/reconciliation/record/differences.html",
        title,
        filter=listed,
        rows=rows,
        count=count,
        is_blank=is_blank,
        sides=_sides(row.sync_pass for row in rows),
        most=MOST_AT_ONCE,
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """What a page calls the two systems of its rows."""

    crm: str
    peer: str


def _sides(passes: Iterable[SyncPass]) -> _Sides:
    """Returns the names of both systems, where all rows are between the same two."""
    pairs = {(p.crm.get_system_display(), p.peer.get_system_display()) for p in passes}
    crms, peers = {crm for crm, _ in pairs}, {peer for _, peer in pairs}
    return _Sides(crms.pop() if len(crms) == 1 else "the CRM", peers.pop() if len(peers) == 1 else "the other system")


@page(OPERATE)
def show_force(request: HttpRequest) -> HttpResponse:
    """First what will be written, from what both systems hold at this moment; then doing it."""
    do = _carry_out if request.method == "POST" else _show_plan
    return or_told(request, reverse("admin:difference_list"), lambda: do(request))


def _show_plan(request: HttpRequest) -> HttpResponse:
    source = request.GET.get("source", "")
    lines = force_plan(_chosen(request.GET), source=source)
    asked = request.GET.copy()
    asked["source"] = "crm" if source == "peer" else "peer"
    return render(
        request,
        "admin/reconciliation/record/force.html",
        "Force values",
        lines=lines,
        writes=[line for line in lines if not line.refusal and not line.agrees],
        agreed=[line for line in lines if line.agrees],
        refused=[line for line in lines if line.refusal],
        other_way=asked.urlencode() if any(line.difference.sync_pass.is_two_way for line in lines) else "",
        is_from_peer=source == "peer",
        sides=_sides(line.difference.sync_pass for line in lines),
        most=MOST_AT_ONCE,
    )


def _chosen(asked: QueryDict) -> list[Difference]:
    """Returns the rows that were ticked, or all that the filter shows."""
    if asked.get("all") == "1":
        keys = list(_rows(QueryDict(asked.get("filter", ""))).qs.values_list("pk", flat=True)[:MOST_AT_ONCE])
    else:
        keys = [pk for pk in map(whole_number, asked.getlist("row")) if pk is not None]
    return chosen(keys)


def _carry_out(request: HttpRequest) -> HttpResponse:
    keys = request.POST.getlist("key")[:MOST_AT_ONCE]
    reason = request.POST.get("reason", "").strip()[:1000]
    if len(keys) > 1:
        jobs.ask_for("force_differences", keys, request.user.pk, reason)
        messages.success(
            request,
            f"{are(len(keys), 'field')} being sent; the list of runs says what became of {bent(len(keys), 'it', 'them')}.",
        )
        return redirect("admin:difference_list")
    done = force(keys, request.user, reason=reason)
    if done.written or done.agreed:
        messages.success(request, "Both systems hold the same now.")
    for sentence in done.refusals:
        messages.warning(request, sentence)
    return redirect("admin:difference_list")
