"""The dashboard: each pass, the open cases, the API budget, and the last day."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation import jobs
from reconciliation.models import Connection, Run, SyncPass
from reconciliation.roles import OPERATE
from reconciliation.selectors import last_day, open_case_counts, pass_states
from reconciliation.views.page import action, page, render


@page()
def show(request: HttpRequest) -> HttpResponse:
    runs = Run.objects.select_related("sync_pass")[:8]
    bars = last_day()
    return render(
        request,
        "admin/reconciliation/dashboard/show.html",
        "Dashboard",
        passes=pass_states(),
        connections=Connection.objects.all(),
        bars=bars,
        changed=sum(b.changed for b in bars),
        runs=runs,
    )


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
    jobs.nudge(sync_pass.name, request.user.get_username())
    messages.success(request, f"“{sync_pass.title}” starts as soon as a worker is free.")
    return redirect("admin:index")


@action(OPERATE)
def preview_pass(request: HttpRequest, name: str) -> HttpResponse:
    sync_pass = get_object_or_404(SyncPass, name=name)
    jobs.ask_for("preview", sync_pass.name, request.user.get_username())
    messages.success(request, "The preview is being made; it appears at the top of the runs. Nothing is written.")
    return redirect("admin:run_list")


@action(OPERATE)
def pause_pass(request: HttpRequest, name: str) -> HttpResponse:
    return _set_paused(request, name, True)


@action(OPERATE)
def resume_pass(request: HttpRequest, name: str) -> HttpResponse:
    return _set_paused(request, name, False)


def _set_paused(request: HttpRequest, name: str, is_paused: bool) -> HttpResponse:
    sync_pass = get_object_or_404(SyncPass, name=name)
    SyncPass.objects.filter(pk=sync_pass.pk).update(is_paused=is_paused)
    said = "is paused; nothing is lost, it goes on from where it stands" if is_paused else "goes on at its next minute"
    messages.success(request, f"“{sync_pass.title}” {said}.")
    return redirect("admin:index")
