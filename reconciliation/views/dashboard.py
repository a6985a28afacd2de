"""The dashboard: each pass, the open cases, the API budget, and the last day."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from reconciliation import jobs
from reconciliation.engine import insta
from reconciliation.models import Connection, SyncPass
from reconciliation.roles import OPERATE
from reconciliation.selectors import (
    failed_import_rows,
    last_day,
    near_expiries,
    open_case_counts,
    pass_states,
    runs_of_passes,
    standing_alerts,
)
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.insta_sync import standing_and_figures
from reconciliation.services.mailbox_overview import tiles
from reconciliation.services.passes import pass_pause, pass_resume
from reconciliation.services.setup_steps import is_set_up
from reconciliation.views.insta_sync import delays_in_words
from reconciliation.views.page import action, page, render


@page()
def show(request: HttpRequest) -> HttpResponse:
    runs = runs_of_passes()[:8]
    bars, passes, connections = last_day(), pass_states(), list(Connection.objects.all())
    return render(
        request,
        "admin/reconciliation/dashboard/show.html",
        "Dashboard",
        standing=standing_alerts(),
        is_mail_configured=settings.MAIL_IS_CONFIGURED,
        passes=passes,
        connections=connections,
        is_set_up=is_set_up([state.sync_pass for state in passes], connections),
        expiring=near_expiries(connections),
        bars=bars,
        changed=sum(b.changed for b in bars),
        busiest=max(b.changed + b.failed for b in bars),
        any_failed=any(b.failed for b in bars),
        runs=runs,
        failed_rows=failed_import_rows(),
        tiles_with=next((s.sync_pass.name for s in passes if s.sync_pass.is_over_mailboxes), ""),  # they are shown once
        has_mailboxes=any(state.sync_pass.is_over_mailboxes for state in passes),
        insta_sync=insta_sync_now() if any(state.sync_pass.name == insta.KIND for state in passes) else None,
        mailbox_tiles=tiles,
    )


def insta_sync_now() -> dict[str, Any]:
    """Returns what the dashboard says of insta-sync: which way is in use, and the figures of the last day."""
    stands, told = standing_and_figures(timezone.now())
    return {"stands": stands, "told": told, "delays": delays_in_words(told)}


@page()
def status(request: HttpRequest) -> JsonResponse:
    """Returns what the poller shows: words and counts per pass, open cases per queue."""
    passes = [
        {
            "name": state.sync_pass.name,
            "word": state.word,
            "run": state.running.pk if state.running else state.last_run.pk if state.last_run else None,
            "seen": state.running.seen if state.running else None,
        }
        for state in pass_states()
    ]
    return JsonResponse({"passes": passes, "cases": open_case_counts()})


@action(OPERATE)
def run_pass(request: HttpRequest, name: str) -> HttpResponse:
    sync_pass = get_object_or_404(SyncPass, name=name)
    if not sync_pass.is_on:
        raise DecisionRefused(f"“{sync_pass.title}” is switched off. Look at its preview; an admin switches it on under Set-up.")
    audit(request.user, "run pass", sync_pass.title)
    jobs.nudge(sync_pass.name, request.user.get_username())
    again = " It stays paused afterwards." if sync_pass.is_paused else ""
    messages.success(request, f"“{sync_pass.title}” starts as soon as a worker is free.{again}")
    return redirect("admin:index")


@action(OPERATE)
def preview_pass(request: HttpRequest, name: str) -> HttpResponse:
    sync_pass = get_object_or_404(SyncPass, name=name)
    audit(request.user, "preview pass", sync_pass.title)
    jobs.ask_for("preview", sync_pass.name, request.user.get_username())
    messages.success(request, "The preview is being made; it appears at the top of the runs. Nothing is written.")
    return redirect("admin:run_list")


@action(OPERATE)
def pause_pass(request: HttpRequest, name: str) -> HttpResponse:
    sync_pass = get_object_or_404(SyncPass, name=name)
    pass_pause(sync_pass, request.user)
    messages.success(request, f"“{sync_pass.title}” is paused; nothing is lost, it goes on from where it stands.")
    return redirect("admin:index")


@action(OPERATE)
def resume_pass(request: HttpRequest, name: str) -> HttpResponse:
    sync_pass = get_object_or_404(SyncPass, name=name)
    pass_resume(sync_pass, request.user)
    messages.success(request, f"“{sync_pass.title}” goes on within a minute.")
    return redirect("admin:index")
