"""Connections: how each system is, and a test that says what is missing."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from reconciliation.models import Connection
from reconciliation.roles import ADMINISTER
from reconciliation.services.connections import connection_test
from reconciliation.views.page import action, page, render


@page(ADMINISTER)
def show_list(request: HttpRequest) -> HttpResponse:
    return render(request, "admin/reconciliation/connection/list.html", "Connections", rows=Connection.objects.order_by("pk"))


@action(ADMINISTER)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    checks = connection_test(connection)
    return render(
        request,
        "admin/reconciliation/connection/list.html",
        "Connections",
        rows=Connection.objects.order_by("pk"),
        tested=connection,
        checks=checks,
    )
