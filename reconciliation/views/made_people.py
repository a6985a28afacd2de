"""People that were made of unknown addresses: what they lack, who completes them, and how one is taken back."""

from __future__ import annotations

from typing import Any

import django_filters
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.core.counting import counted
from reconciliation.models import MadePerson, Mailbox
from reconciliation.models.linking import LACKS
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.made_people import (
    MOST_AT_ONCE,
    incomplete_rows,
    made_people_done,
    made_people_look_again,
    made_people_not_done,
    made_person_complete,
    made_person_take_back,
    made_rows,
)
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render
from reconciliation.views.people_shared import chosen_rows, done_by_both, for_both, pages_of

State = MadePerson.State
COLUMNS = (
    Column("person", lambda p: p.name),
    Column("address", lambda p: p.address),
    Column("became", lambda p: p.kind),
    Column("Salesforce id", lambda p: p.target_id),
    Column("state", lambda p: p.get_state_display()),
    Column("lacks", lambda p: ", ".join(p.lacks_in_words)),
    Column("mailbox", lambda p: p.mailbox.address if p.mailbox else ""),
    Column("made", lambda p: p.made_at),
    Column("completed", lambda p: p.completed_at),
    Column("completed by", lambda p: p.completed_by_name),
    Column("why", lambda p: " ".join(map(str, p.why)) or p.reason),
)
CHOICES = [("all", "All"), ("complete", "Complete"), ("refused", "Refused"), ("taken_back", "Taken back")]


class MadePersonFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(method="by_state", choices=CHOICES, empty_label="Incomplete", label="State")
    name = django_filters.CharFilter(method="by_name", label="Name or address holds")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")

    class Meta:
        model = MadePerson
        fields: list[Any] = []

    def filter_queryset(self, queryset: QuerySet[MadePerson]) -> QuerySet[MadePerson]:
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("state") else rows.filter(state=State.MADE, completed_at=None).exclude(missing="")

    def by_state(self, rows: QuerySet[MadePerson], name: str, value: str) -> QuerySet[MadePerson]:
        if value == "complete":
            return rows.filter(state=State.MADE).exclude(pk__in=incomplete_rows().order_by().values("pk"))
        return rows if value == "all" else rows.filter(state=value)

    def by_name(self, rows: QuerySet[MadePerson], name: str, value: str) -> QuerySet[MadePerson]:
        return rows.filter(name__icontains=value.strip()) | rows.filter(address__icontains=value.strip().lower())

    def by_mailbox(self, rows: QuerySet[MadePerson], name: str, value: str) -> QuerySet[MadePerson]:
        return rows.filter(mailbox__in=Mailbox.objects.filter(address__istartswith=value.strip()).values("pk"))


def _chosen(request: HttpRequest, mailbox: Mailbox | None = None) -> MadePersonFilter:
    return MadePersonFilter(request.GET, made_rows(mailbox))


def _list(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    chosen = _chosen(request, mailbox)
    return render(
        request,
        "admin/reconciliation/made_person/list.html",
        f"Made people: {bounded_count(incomplete_rows(mailbox))} incomplete",
        filter=chosen,
        rows=paginate(request, chosen.qs),
        own=mailbox,
        pages=pages_of(mailbox),
        may_decide=mailbox is not None or request.user.has_perm(OPERATE),
    )


show_list, show_mine = for_both(_list)


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "made-people", COLUMNS, _chosen(request).qs)


def _decide(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    rows = chosen_rows(request, made_rows(mailbox), MOST_AT_ONCE)
    if not rows or len(rows) > MOST_AT_ONCE:
        raise DecisionRefused(f"Choose between one and {MOST_AT_ONCE} people. Nothing was done.")
    what = request.POST.get("do", "")
    if what == "look_again":
        count = made_people_look_again([row for row in rows if row.state == State.MADE and row.missing])
        said = f"{counted(count, 'person has', 'people have')} left the list; the others lack something still."
    elif what == "done":
        count = made_people_done(rows, request.user)
        said = f"{counted(count, 'person counts', 'people count')} as complete; filter by “Complete” to take that back."
    elif what == "not_done":
        said = f"{counted(made_people_not_done(rows, request.user), 'person is', 'people are')} listed as incomplete again."
    else:
        raise DecisionRefused("Choose what shall become of them. Nothing was done.")
    messages.success(request, said)
    return redirect(pages_of(mailbox)["made_person_list"])


decide, decide_mine = done_by_both(_decide)


# --- one person -----------------------------------------------------------------------------------------------------------


def _show(request: HttpRequest, mailbox: Mailbox | None, pk: int) -> HttpResponse:
    """One person: of which address and item, why so, and a form for what is missing."""
    row = get_object_or_404(made_rows(mailbox), pk=pk)
    may_decide = mailbox is not None or request.user.has_perm(OPERATE)
    is_open = row.state == State.MADE and row.completed_at is None
    return render(
        request,
        "admin/reconciliation/made_person/detail.html",
        f"Made person: {row.name or row.address}",
        row=row,
        own=mailbox,
        pages=pages_of(mailbox),
        fields=[(name, LACKS.get(name, name)) for name in row.lacks] if is_open and may_decide else [],
        may_take_back=mailbox is None and may_decide and row.state == State.MADE,
        may_decide=may_decide,
    )


show, show_my_person = for_both(_show)


def _complete(request: HttpRequest, mailbox: Mailbox | None, pk: int) -> HttpResponse:
    row = get_object_or_404(made_rows(mailbox), pk=pk)
    written = made_person_complete(row, {name: request.POST.get(name, "") for name in row.lacks}, request.user)
    said = f"{', '.join(LACKS.get(name, name) for name in written).capitalize()} of {row.name or row.address} was written to Salesforce."
    kept = "Somebody filled it in Salesforce meanwhile; nothing was written."
    messages.success(request, said if written else kept)
    return redirect(pages_of(mailbox)["made_person_list"])


complete, complete_mine = done_by_both(_complete)


@action(OPERATE)
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(made_rows(), pk=pk)
    made_person_take_back(row, request.user)
    messages.success(request, f"{row.name or row.address} was deleted in Salesforce (15 days in its Recycle Bin); the address waits again.")
    return redirect("admin:made_person_list")
