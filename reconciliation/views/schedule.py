"""Schedule and process channels: when each pass runs, and who holds a channel just now."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from reconciliation.engine import gate
from reconciliation.models import PassLease, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.roles import ADMINISTER
from reconciliation.services.schedule import Schedule, ScheduleRefused, schedule_of, schedule_set
from reconciliation.views.page import page, render


class ScheduleForm(forms.Form):
    is_on = forms.BooleanField(label="Switched on", required=False)
    interval_seconds = forms.IntegerField(label="Every … seconds")
    time_budget_seconds = forms.IntegerField(label="Time budget of a run, seconds")
    full_every_days = forms.IntegerField(label="Compare everything every … days (0: never)")
    blanking_count = forms.IntegerField(label="Hold when a sweep blanks one field in more than … records")
    blanking_percent = forms.IntegerField(label="and in more than … percent of the linked records")


@page(ADMINISTER)
def show(request: HttpRequest) -> HttpResponse:
    passes = list(SyncPass.objects.whole().select_related("crm", "peer", "mapping").order_by("pk"))
    if request.method == "POST":
        chosen = get_object_or_404(SyncPass.objects.select_related("crm", "peer", "mapping"), name=request.POST.get("name", ""))
        return _save(request, chosen)
    rows = [(p, ScheduleForm(initial=vars_of(schedule_of(p)), prefix=p.name)) for p in passes]
    for sync_pass, form in rows:
        form.gate = gate.preview_wanted(sync_pass)
    now = timezone.now()
    leases = PassLease.objects.filter(expires_at__gt=now)
    of_mailboxes = Q()
    for name in MAILBOX_PASSES:  # a lease for each mailbox at work, beside that of its channel
        of_mailboxes |= Q(name__startswith=f"pass:{name}:")
    held = list(leases.exclude(of_mailboxes).order_by("name"))
    return render(
        request,
        "admin/reconciliation/schedule/show.html",
        "Schedule and channels",
        rows=rows,
        held=held,
        mailboxes_at_work=leases.filter(of_mailboxes).count(),
        channels=settings.PROCESS_CHANNELS,
        waiting=[p for p in passes if p.is_on and not p.is_paused and not p.is_over_mailboxes and p.next_due_at and p.next_due_at < now],
    )


def vars_of(schedule: Schedule) -> dict[str, object]:
    """Returns the settings by field name."""
    return {name: getattr(schedule, name) for name in ScheduleForm.base_fields}


def _save(request: HttpRequest, sync_pass: SyncPass) -> HttpResponse:
    form = ScheduleForm(request.POST, prefix=sync_pass.name)
    try:
        if not form.is_valid():
            raise ScheduleRefused("Every value must be a whole number.")
        schedule_set(sync_pass, Schedule(**form.cleaned_data), request.user)
    except ScheduleRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    else:
        messages.success(request, f"“{sync_pass.title}” is saved.")
    return redirect("admin:schedule")
