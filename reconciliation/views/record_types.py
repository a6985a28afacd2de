"""Record types: their order by drag, by arrow keys and by buttons; switches and polling conditions of each."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from reconciliation.core.conditions import TESTS
from reconciliation.models import RecordType, SyncPass
from reconciliation.roles import ADMINISTER
from reconciliation.services.calendar_object import CalendarObject, calendar_object_choose
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.record_types import SWITCHES, RecordTypesRefused, move, order_set, record_types, type_set
from reconciliation.views.page import action, page, render, whole_number

CALENDAR_FIELDS = (  # name, label, example
    ("name", "Object", "Meeting__c"),
    ("start", "Start", "Start__c"),
    ("end", "End", "End__c"),
    ("all_day", "All day, if it has one", "All_Day__c"),
    ("title", "Subject", "Name"),
)


@page()
def show(request: HttpRequest) -> HttpResponse:
    more = {"passes": record_types(), "tests": TESTS, "calendar_fields": CALENDAR_FIELDS}
    return render(request, "admin/reconciliation/record_type/list.html", "Record types", **more)


@action(ADMINISTER)
def calendar_object(request: HttpRequest, pk: int) -> HttpResponse:
    """Keeps calendars as another object from now on, as Event where none is named (S4.18)."""
    sync_pass = get_object_or_404(SyncPass.objects.select_related("crm"), pk=pk)
    given = {name: request.POST.get(name, "").strip()[:120] for name, _, _ in CALENDAR_FIELDS}
    chosen = CalendarObject(**{**given, "title": given["title"] or "Name"}) if given["name"] else None
    try:
        calendar_object_choose(sync_pass, chosen, request.user)
        messages.success(request, f"Calendars are kept as {chosen.name if chosen else 'Event'} from the next run on.")
    except DecisionRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("admin:record_types")


@action(ADMINISTER)
def order(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes the order of a whole list, or one step of one type where `move` says "up" or "down"."""
    sync_pass = get_object_or_404(SyncPass, pk=pk)
    step = {"up": -1, "down": 1}.get(request.POST.get("move", ""))
    try:
        if step is not None:
            one = whole_number(request.POST.get("type", "")) or 0
            is_new = move(
                get_object_or_404(RecordType.objects.select_related("sync_pass"), pk=one, sync_pass=sync_pass), step, request.user
            )
        else:
            keys = [whole_number(text) for text in request.POST.getlist("order")]
            is_new = order_set(sync_pass, [key or 0 for key in keys], request.user)
        if is_new:
            messages.success(request, "Saved. The first type in the list wins where two have the same key, from the next run on.")
    except RecordTypesRefused as refusal:
        messages.error(request, str(refusal))
    moved = whole_number(request.POST.get("moved") or request.POST.get("type", ""))
    return redirect(f"{reverse('admin:record_types')}#type-{moved}" if moved else "admin:record_types")  # where the focus goes


@action(ADMINISTER)
def save(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(RecordType.objects.select_related("sync_pass__crm"), pk=pk)
    fields, tests, values = (request.POST.getlist(name) for name in ("field", "test", "value"))
    conditions = [parts for parts in zip(fields, tests, values, strict=False) if parts[0].strip()]
    switches = {name: request.POST.get(name) == "on" for name in SWITCHES}
    try:
        is_new = type_set(row, switches, conditions, request.user)
        messages.success(request, f"{row.crm_object}: saved." if is_new else f"{row.crm_object}: nothing was changed.")
    except RecordTypesRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("admin:record_types")
