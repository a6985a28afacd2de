"""The audit log: who did what, when and why, and whether it is as it was written."""

from __future__ import annotations

import json

import django_filters
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect

from reconciliation.core.counting import counted
from reconciliation.models import AuditEntry
from reconciliation.roles import ADMINISTER
from reconciliation.services.audit import audit_verify
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render


class AuditFilter(django_filters.FilterSet):
    username = django_filters.CharFilter(label="Who", lookup_expr="exact")
    action = django_filters.CharFilter(label="What begins with", lookup_expr="startswith")
    since = django_filters.DateFilter(
        field_name="at", lookup_expr="date__gte", label="Since", widget=forms.DateInput(attrs={"type": "date"})
    )

    class Meta:
        model = AuditEntry
        fields = ["username", "action"]


COLUMNS = (
    Column("row", lambda e: e.pk),
    Column("when", lambda e: e.at),
    Column("who", lambda e: e.username),
    Column("what", lambda e: e.action),
    Column("on", lambda e: e.subject),
    Column("details", lambda e: json.dumps(e.detail, ensure_ascii=False)),
    Column("seal", lambda e: e.digest),
)


@page(ADMINISTER)
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "audit", COLUMNS, AuditFilter(request.GET, AuditEntry.objects.order_by("-id")).qs)


@page(ADMINISTER)
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = AuditFilter(request.GET, AuditEntry.objects.order_by("-id"))
    return render(request, "admin/reconciliation/audit/list.html", "Audit log", filter=chosen, rows=paginate(request, chosen.qs))


@action(ADMINISTER)
def verify(request: HttpRequest) -> HttpResponse:
    """Walks the chain of the whole log and says whether it holds."""
    found = audit_verify()
    if found.broken is None:
        all_rows = f"All {found.rows:,} rows are as they were written, and none is missing between them."
        said = "The one row is as it was written." if found.rows == 1 else all_rows
        messages.success(request, said)
    else:
        at = f"{found.broken.at:%Y-%m-%d %H:%M}"
        messages.error(
            request, f"Row {found.broken.pk} of {at} does not fit the {counted(found.rows, 'row')} before it: the log was changed."
        )
    return redirect("admin:audit")
