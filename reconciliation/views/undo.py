"""Undo of a run or of one write: first what it would do, then doing it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from reconciliation import jobs
from reconciliation.core.counting import bent, counted
from reconciliation.models import Operation, Run
from reconciliation.roles import OPERATE
from reconciliation.services.undo import MOST_AT_ONCE, UndoLine, undo, undo_plan, undoable
from reconciliation.views.page import or_told, page, render, whole_number


@page(OPERATE)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping"), pk=pk)
    do = _carry_out if request.method == "POST" else _show_plan
    return or_told(request, reverse("admin:run_detail", args=[run.pk]), lambda: do(request, run, _chosen(request, run)))


def _show_plan(request: HttpRequest, run: Run, operations: list[Operation]) -> HttpResponse:
    lines = undo_plan(run.sync_pass, operations, field=_field(request)) if operations else []
    return render(
        request,
        "admin/reconciliation/run/undo.html",
        f"Undo run {run.pk}",
        run=run,
        lines=lines,
        totals=_totals(lines),
        can_do=any(line.is_possible for line in lines),
        operation=request.GET.get("operation", ""),
        field=_field(request),
        most=MOST_AT_ONCE,
    )


def _totals(lines: list[UndoLine]) -> dict[str, Any]:
    """Returns how many writes are taken back and how; `what` says which records are deleted: "2 prospects and 1 Contact"."""
    done = [line for line in lines if line.is_possible]
    types = Counter(line.operation.object_type for line in done if line.operation.kind == Operation.Kind.CREATE)
    what = " and ".join(f"{n} {name}{'' if n == 1 else 's'}" for name, n in types.items())
    deleted = types.total()
    return {"deleted": deleted, "what": what or "nothing", "restored": len(done) - deleted, "kept": len(lines) - len(done)}


def _chosen(request: HttpRequest, run: Run) -> list[Operation]:
    """Returns the writes to take back: one, when the address or the form names it, else all of the run."""
    rows = undoable(run)
    one = whole_number((request.POST if request.method == "POST" else request.GET).get("operation", ""))
    if one is not None:
        rows = rows.filter(pk=one)
    return list(rows[:MOST_AT_ONCE])


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:1000]


def _field(request: HttpRequest) -> str:
    """Returns the one field to take back, "" for all of a write."""
    return (request.POST if request.method == "POST" else request.GET).get("field", "")[:120]


def _carry_out(request: HttpRequest, run: Run, operations: list[Operation]) -> HttpResponse:
    if len(operations) > 1:
        jobs.ask_for("undo_writes", run.pk, [op.pk for op in operations], request.user.pk, _field(request), _reason(request))
        messages.success(
            request,
            f"{len(operations)} writes are being taken back; the list says what became of them.",
        )
        return redirect("admin:run_list")
    lines = undo(run.sync_pass, operations, request.user, field=_field(request), reason=_reason(request)) if operations else []
    done = sum(line.is_possible for line in lines)
    messages.success(request, f"{done} of {counted(len(lines), 'write')} {bent(done, 'was', 'were')} taken back.")
    for line in lines:
        if not line.is_possible:
            messages.warning(request, line.sentence)
    return redirect("admin:run_detail", run.pk)
