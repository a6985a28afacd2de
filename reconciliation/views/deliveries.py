"""What Outreach told of changes, delivery by delivery, and the switch of the receiver."""

from __future__ import annotations

import django_filters
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.models import Connection, HookDelivery
from reconciliation.roles import ADMINISTER
from reconciliation.selectors import bounded_count
from reconciliation.services.webhooks import HooksRefused, hooks_switch_off, hooks_switch_on
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render, whole_number

COLUMNS = (
    Column("delivery", lambda d: d.pk),
    Column("received", lambda d: d.received_at),
    Column("changed", lambda d: d.happened_at),
    Column("record type", lambda d: d.object_type),
    Column("record", lambda d: d.object_id),
    Column("what happened", lambda d: d.action),
    Column("state", lambda d: d.get_state_display()),
    Column("worked off", lambda d: d.worked_at),
    Column("note", lambda d: d.note),
)


class DeliveryFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=HookDelivery.State.choices, empty_label="Any state")
    object_type = django_filters.ChoiceFilter(
        choices=[("prospect", "Prospects"), ("account", "Accounts")], empty_label="Anything", label="Records"
    )
    record = django_filters.CharFilter(field_name="object_id", label="Id of the record")

    class Meta:
        model = HookDelivery
        fields = ["state", "object_type"]


def _chosen(request: HttpRequest, connection: Connection) -> DeliveryFilter:
    rows: QuerySet[HookDelivery] = HookDelivery.objects.filter(connection=connection).defer("body").order_by("-id")
    return DeliveryFilter(request.GET, rows)


@page(ADMINISTER)
def show_list(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    chosen = _chosen(request, connection)
    return render(
        request,
        "admin/reconciliation/connection/deliveries.html",
        f"Deliveries of {connection}: {bounded_count(chosen.qs)}",
        connection=connection,
        filter=chosen,
        rows=paginate(request, chosen.qs),
    )


@page(ADMINISTER)
def export(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    return export_rows(request, "deliveries", COLUMNS, _chosen(request, connection).qs)


@action(ADMINISTER)
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Switches the receiver on or off; on, while it is on, sees to it that the webhooks are as they should be."""
    connection = get_object_or_404(Connection, pk=pk)
    try:
        if request.POST.get("switch") == "off":
            left = hooks_switch_off(connection, request.user)
            (messages.warning if left else messages.success)(request, left or "The receiver is off and its webhooks are deleted.")
        elif request.POST.get("switch") == "on":
            seconds = whole_number(request.POST.get("debounce_seconds", "").strip())
            hooks_switch_on(connection, request.user, debounce_seconds=-1 if seconds is None else seconds)
            messages.success(request, "The receiver is on: Outreach tells of every change of a prospect or an account.")
    except HooksRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("admin:connection_edit", pk)
