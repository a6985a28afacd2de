"""Connections: how each system is, and a test that says what is missing."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.models import Connection
from reconciliation.roles import ADMINISTER
from reconciliation.services.audit import audit
from reconciliation.services.connections import SECRETS, ConnectionChange, ConnectionRefused, connection_save, connection_test
from reconciliation.views.page import action, page, render, whole_number


@page(ADMINISTER)
def show_list(request: HttpRequest) -> HttpResponse:
    return render(request, "admin/reconciliation/connection/list.html", "Connections", rows=Connection.objects.order_by("pk"))


@page(ADMINISTER)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    names = SECRETS[connection.system]
    if request.method == "POST":
        try:
            connection_save(connection, _read(request, names), request.user)
        except ConnectionRefused as refusal:
            messages.error(request, f"Nothing was saved. {refusal}")
            return redirect("admin:connection_edit", pk)
        messages.success(request, "Saved. Test it now.")
        return redirect("admin:connection_list")
    secrets = [{"name": n, "title": n.replace("_", " ").capitalize(), "is_set": bool(connection.secrets.get(n))} for n in names]
    return render(request, "admin/reconciliation/connection/edit.html", f"Connection: {connection}", connection=connection, secrets=secrets)


def _read(request: HttpRequest, names: tuple[str, ...]) -> ConnectionChange:
    given = request.POST
    settle = whole_number(given.get("settle_seconds", ""))
    return ConnectionChange(
        name=given.get("name", "")[:100],
        base_url=given.get("base_url", "").strip()[:300],
        page_address_template=given.get("page_address_template", "").strip()[:300],
        settle_seconds=-1 if settle is None else settle,
        secrets={n: given.get(n, "").strip() for n in names},
    )


@action(ADMINISTER)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    audit(request.user, "test connection", connection.name)
    checks = connection_test(connection)
    return render(
        request,
        "admin/reconciliation/connection/list.html",
        "Connections",
        rows=Connection.objects.order_by("pk"),
        tested=connection,
        checks=checks,
    )
