"""User pairs: which CRM user is which user of the peer, those without a counterpart first."""

from __future__ import annotations

import django_filters
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.models import UserPair
from reconciliation.roles import ADMINISTER, OPERATE
from reconciliation.selectors import bounded_count
from reconciliation.services.user_pairs import UNMATCHED, pair_choose, pair_forget, user_pairs
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render

COLUMNS = (
    Column("pass", lambda p: p.sync_pass.title),
    Column("CRM user", lambda p: p.crm_name),
    Column("CRM user id", lambda p: p.crm_user_id),
    Column("Outreach user", lambda p: p.peer_name),
    Column("Outreach user id", lambda p: p.peer_user_id),
    Column("how", lambda p: p.get_how_display() if p.crm_user_id and p.peer_user_id else "No counterpart"),
    Column("looked up", lambda p: p.read_at),
)


class UserPairFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="by_text", label="Name or id")
    state = django_filters.ChoiceFilter(
        method="by_state",
        choices=[("unmatched", "No counterpart"), *UserPair.How.choices],
        empty_label="All",
        label="Pairs",
    )

    class Meta:
        model = UserPair
        fields: list[str] = []

    def by_text(self, rows: QuerySet[UserPair], name: str, value: str) -> QuerySet[UserPair]:
        named = Q(crm_name__icontains=value) | Q(peer_name__icontains=value)
        return rows.filter(named | Q(crm_user_id=value) | Q(peer_user_id=value))

    def by_state(self, rows: QuerySet[UserPair], name: str, value: str) -> QuerySet[UserPair]:
        return rows.filter(UNMATCHED) if value == "unmatched" else rows.exclude(UNMATCHED).filter(how=value)


def _chosen(request: HttpRequest) -> UserPairFilter:
    return UserPairFilter(request.GET, user_pairs())


@page(OPERATE)
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "user-pairs", COLUMNS, _chosen(request).qs)


@page(OPERATE)
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _chosen(request)
    title = f"User pairs: {bounded_count(UserPair.objects.filter(UNMATCHED))} without counterpart"
    return render(request, "admin/reconciliation/user_pair/list.html", title, filter=chosen, rows=paginate(request, chosen.qs))


@action(ADMINISTER)
def choose(request: HttpRequest, pk: int) -> HttpResponse:
    pair = get_object_or_404(user_pairs(), pk=pk)
    made = pair_choose(pair, request.POST.get("address", ""), request.user)
    messages.success(request, f"{made.crm_name or made.crm_user_id} is {made.peer_name or made.peer_user_id} from the next run on.")
    return redirect("admin:user_pair_list")


@action(ADMINISTER)
def forget(request: HttpRequest, pk: int) -> HttpResponse:
    pair_forget(get_object_or_404(user_pairs(), pk=pk), request.user)
    messages.success(request, "Taken away. The next run that meets one of them as an owner looks both up by e-mail again.")
    return redirect("admin:user_pair_list")
