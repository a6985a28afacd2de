"""Contacts that a mailbox made in Salesforce and that lack something: an account, an address, what the company asks for (S4.34)."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from reconciliation.core.values import normalise_name
from reconciliation.filters import of_mailboxes
from reconciliation.models import Binding
from reconciliation.models.prefix import starts_with
from reconciliation.selectors import bounded_count, incomplete
from reconciliation.templatetags.sync import lacking
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import page, paginate, render

COLUMNS = (
    Column("contact", lambda b: b.name),
    Column("Salesforce id", lambda b: b.crm_id),
    Column("lacks", lambda b: ", ".join(lacking(b.lacks))),
    Column("mailbox", lambda b: b.sync_pass.mailbox_address),
    Column("system", lambda b: b.sync_pass.peer.get_system_display()),
    Column("made", lambda b: b.bound_at),
)


class IncompleteFilter(django_filters.FilterSet):
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")
    lacks = django_filters.ChoiceFilter(
        method="by_lacks", choices=[("AccountId", "An account"), ("Email", "An e-mail address")], empty_label="Anything", label="Lacks"
    )
    name = django_filters.CharFilter(method="by_name", label="Name starts with")

    class Meta:
        model = Binding
        fields: list[Any] = []

    def by_mailbox(self, rows: QuerySet[Binding], name: str, value: str) -> QuerySet[Binding]:
        return of_mailboxes(rows, value)

    def by_lacks(self, rows: QuerySet[Binding], name: str, value: str) -> QuerySet[Binding]:
        return rows.filter(lacks__contains=value)

    def by_name(self, rows: QuerySet[Binding], name: str, value: str) -> QuerySet[Binding]:
        return rows.filter(starts_with("name_key", normalise_name(value)))


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = IncompleteFilter(request.GET, incomplete())
    title = f"Incomplete contacts: {bounded_count(chosen.qs)}"
    return render(request, "admin/reconciliation/record/incomplete.html", title, filter=chosen, rows=paginate(request, chosen.qs))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "incomplete", COLUMNS, IncompleteFilter(request.GET, incomplete()).qs)
