"""Runs: the list, one run with its ledger and events, live progress, and the events as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation import jobs
from reconciliation.core.counting import bent
from reconciliation.engine import gate
from reconciliation.filters import EventFilter, RunFilter
from reconciliation.models import Operation, Run, RunEvent
from reconciliation.roles import OPERATE
from reconciliation.selectors import OF_SINGLE_MAILBOXES, mailbox_runs_lately, name_writes, names_of_records, writes_of_events
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_first import first_of
from reconciliation.services.switch_on import may_be_confirmed
from reconciliation.templatetags.sync import REASONS, in_words, named, said
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render
from reconciliation.views.writes import field_rows, may_undo_fields

MOST_SHOWN = 100
REASONS_LOOKED_AT = 10_000  # events, the latest
OUTCOMES = ("created", "updated", "unchanged", "excluded", "duplicates", "failed", "held")
RUN_COLUMNS = (
    Column("run", lambda r: r.pk),
    Column("pass", lambda r: r.sync_pass.title),
    Column("kind", lambda r: r.get_kind_display()),
    Column("started by", lambda r: r.started_by),
    Column("state", lambda r: r.get_state_display()),
    Column("began", lambda r: r.started_at),
    Column("ended", lambda r: r.ended_at),
    Column("seen", lambda r: r.seen),
    *(Column(name, lambda r, name=name: sum(r.excluded.values()) if name == "excluded" else getattr(r, name)) for name in OUTCOMES),
    Column("seconds", lambda r: r.seconds),
    Column("note", lambda r: r.note),
)
EVENT_COLUMNS = (
    Column("record", lambda e: e.crm_ref),
    Column("name", lambda e: e.name),
    Column("outcome", lambda e: e.outcome),
    Column("reason", lambda e: e.reason),
    Column("sentence", lambda e: e.sentence),
    Column("peer record", lambda e: e.peer_ref),
    Column("written", lambda e: e.written),
    Column("at", lambda e: e.at),
)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = RunFilter(request.GET, Run.objects.select_related("sync_pass__mailbox", "sync_pass__parent"))
    rows = paginate(request, chosen.qs)
    summed = mailbox_runs_lately() if chosen.is_summed and rows.number == 1 else {}
    alone = chosen.is_summed and not rows and Run.objects.filter(OF_SINGLE_MAILBOXES).exists()
    said = {"filter": chosen, "rows": rows, "mailbox_runs": summed, "of_mailboxes_alone": alone}
    return render(request, "admin/reconciliation/run/list.html", "Runs", **said)


def ledger_parts(run: Run) -> list[dict[str, Any]]:
    """Returns the parts of the ledger bar with their geometry: they add up to what was seen."""
    parts, x = [], 0.0
    for name in OUTCOMES:
        value = sum(run.excluded.values()) if name == "excluded" else getattr(run, name)
        if value and run.seen:
            width = 1000 * value / run.seen
            word = bent(value, name.removesuffix("s"), name)  # 1 duplicate
            parts.append({"name": name, "word": word, "value": value, "x": f"{x:.2f}", "width": f"{width:.2f}"})
            x += width
    return parts


def _reasons(run: Run, asked: str) -> list[tuple[str, str]]:
    """Returns the reasons to filter a run's events by, with their words: those that its latest events have, and the one asked for."""
    latest = RunEvent.objects.filter(run=run).order_by("-id").values("pk")[:REASONS_LOOKED_AT]
    found = RunEvent.objects.filter(pk__in=latest).exclude(reason="").order_by().values_list("reason", flat=True).distinct()
    return [(reason, in_words(reason)) for reason in sorted({*found, *run.excluded, *([asked] if asked in REASONS else [])})]


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(
        Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox__connection", "sync_pass__parent"), pk=pk
    )
    seen = run.sync_pass.preview_seen
    chosen = EventFilter(request.GET, RunEvent.objects.filter(run=run).order_by("-id"), _reasons(run, request.GET.get("reason", "")))
    rows = paginate(request, chosen.qs)
    writes = writes_of_events(run, rows)
    names = names_of_records([run.sync_pass_id], (r for e in rows for r in (e.crm_ref, e.peer_ref))) if run.sync_pass.is_two_way else {}
    done = (
        list(Operation.objects.filter(run=run).select_related("connection", "run").order_by("pk")[:MOST_SHOWN]) if run.is_by_staff else []
    )
    name_writes(done)
    return render(
        request,
        "admin/reconciliation/run/detail.html",
        f"Run {run.pk}: {run.title}",
        run=run,
        lines=[_line(event, writes[event.pk], names) for event in rows],
        done=done,
        applied_by=run.applied_by(),
        total=run.total,
        is_off=gate.is_closed(run.sync_pass),
        may_confirm=run.sync_pass.mailbox_id is None and may_be_confirmed(run),
        first=first_of(run),
        confirmed_by=seen.get("by", "") if seen.get("run") == run.pk else "",
        parts=ledger_parts(run),
        can_apply=(run.kind == Run.Kind.PREVIEW or run.state == Run.State.HELD)
        and Operation.objects.filter(run=run, state=Operation.State.PLANNED).exists(),
        filter=chosen,
        rows=rows,
    )


def _line(event: RunEvent, writes: list[Operation], names: Mapping[str, str]) -> dict[str, Any]:
    """Returns one record of a run as the list shows it, both sides under their own names."""
    about, other = event.crm_ref or event.peer_ref, event.peer_ref if event.crm_ref else ""
    name, other_name = (names.get(ref) or event.name for ref in (about, other))
    return {"event": event, "writes": writes, "about": about, "name": name, "other": other, "other_name": other_name}


def _say_writes(run: Run, events: list[RunEvent]) -> None:
    """Completes a chunk of an export with what was written for each record."""
    writes = writes_of_events(run, events)
    for event in events:
        event.written = "; ".join(f"{op.connection.name}: {said(op.after)}" for op in writes[event.pk])  # type: ignore[attr-defined]


@action(OPERATE)
def apply(request: HttpRequest, pk: int) -> HttpResponse:
    """Carries out exactly what this preview shows; rows that changed since are refused and said so."""
    run = get_object_or_404(Run.objects.select_related("sync_pass"), pk=pk)
    audit(request.user, "apply preview", f"run {run.pk}")
    jobs.ask_for("apply_preview", run.pk, request.user.get_username())
    if run.sync_pass.mailbox_id is not None:
        messages.success(request, "The plan is being carried out; its run appears under the latest runs of the mailbox.")
        return redirect("admin:mailbox_detail", run.sync_pass.mailbox_id)
    messages.success(request, "The plan is being carried out; its run appears at the top of the list.")
    return redirect("admin:run_list")


@page()
def progress(request: HttpRequest, pk: int) -> JsonResponse:
    run = get_object_or_404(Run.objects.select_related("sync_pass__mailbox"), pk=pk)
    is_running = run.state == Run.State.RUNNING
    words = ", ".join(f"{part['value']:,} {part['word']}" for part in ledger_parts(run))
    return JsonResponse({**run.as_dict(), "is_running": is_running, "words": words, "word": run.get_state_display(), "total": run.total})


@page()
def show_event(request: HttpRequest, pk: int) -> HttpResponse:
    event = get_object_or_404(RunEvent.objects.select_related("run__sync_pass"), pk=pk)
    writes = writes_of_events(event.run, [event])[event.pk]
    names = names_of_records([event.run.sync_pass_id], (event.crm_ref, event.peer_ref)) if event.run.sync_pass.is_two_way else {}
    title = f"{named(event.name or event.crm_ref, event.crm_ref)}: {event.get_outcome_display().lower()}"
    return render(
        request,
        "admin/reconciliation/run/event.html",
        title,
        line=_line(event, writes, names),
        event=event,
        url=next((op.target_url for op in reversed(writes) if op.target_url), ""),
        writes=[(op, field_rows(op), may_undo_fields(op, request.user)) for op in writes],
    )


@page()
def export_list(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "runs", RUN_COLUMNS, RunFilter(request.GET, Run.objects.select_related("sync_pass__mailbox")).qs)


@page()
def export(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    run = get_object_or_404(Run.objects.select_related("sync_pass__mailbox"), pk=pk)
    rows = EventFilter(request.GET, RunEvent.objects.filter(run=run)).qs
    return export_rows(request, f"run-{run.pk}-events", EVENT_COLUMNS, rows, prepare=partial(_say_writes, run))
