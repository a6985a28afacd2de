"""Coverage: how much of Workbooks is in Outreach, in numbers and in lists."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from connectors.errors import ConnectorError
from reconciliation.core.values import normalise_name
from reconciliation.models import Binding, CoverageCount, SyncPass
from reconciliation.models.prefix import starts_with
from reconciliation.roles import OPERATE
from reconciliation.selectors import coverage_counts
from reconciliation.services.coverage import LISTS, Slice, coverage_count, live_list
from reconciliation.store import organisation_columns
from reconciliation.views.page import action, page, paginate, render


def _pass() -> SyncPass | None:
    return SyncPass.objects.select_related("crm", "peer", "mapping").filter(name="organisations").first()


@page()
def show(request: HttpRequest) -> HttpResponse:
    sync_pass = _pass()
    counted = CoverageCount.objects.filter(sync_pass=sync_pass).first() if sync_pass else None
    ours = coverage_counts(sync_pass.pk) if sync_pass else {}
    counts = counted.counts if counted else {}
    theirs = [(name, title, counts.get(name)) for name, title in LISTS.items()]
    return render(
        request,
        "admin/reconciliation/record/coverage.html",
        "Coverage",
        is_connected=bool(sync_pass),
        counted=counted,
        ours=ours,
        theirs=theirs,
        in_outreach=counts.get("in_outreach"),
    )


@page()
def show_list(request: HttpRequest, show: str) -> HttpResponse:
    """One list: what is linked from our own store, everything else as Workbooks has it now."""
    sync_pass = _pass()
    if sync_pass is None or show not in (*LISTS, "linked"):
        raise Http404
    if show == "linked":
        return _linked(request, sync_pass)
    rows, trouble, following = [], "", None
    try:
        found = live_list(sync_pass, show, _after(request))
        rows, following = found.records, found.position
    except ConnectorError as error:
        trouble = f"{error.sentence}. {error.remedy}"
    columns = organisation_columns(sync_pass)
    lines = [
        {
            "record": r,
            "ticked": r.fields.get(columns.sync),
            "duplicate": r.fields.get(columns.duplicate),
            "error": r.fields.get(columns.error),
            "peer_id": r.fields.get(columns.peer_id),
        }
        for r in rows
    ]
    return render(request, "admin/reconciliation/record/coverage_list.html", LISTS[show], lines=lines, trouble=trouble, following=following)


def _after(request: HttpRequest) -> Slice | None:
    try:
        at = datetime.fromisoformat(request.GET.get("after", ""))
    except ValueError:
        return None
    id_ = request.GET.get("id", "")
    return Slice(at, id_) if id_.isascii() and id_.isdigit() and at.tzinfo is not None else None


def _linked(request: HttpRequest, sync_pass: SyncPass) -> HttpResponse:
    rows = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False).select_related("sync_pass__crm", "sync_pass__peer")
    text = request.GET.get("name", "")[:200]
    if key := normalise_name(text):
        rows = rows.filter(starts_with("name_key", key))
    shown = paginate(request, rows.order_by("-id"))
    return render(request, "admin/reconciliation/record/linked.html", "In Outreach: linked organisations", rows=shown, name=text)


@action(OPERATE)
def count(request: HttpRequest) -> HttpResponse:
    """Asks Workbooks for its counts now."""
    sync_pass = _pass()
    if sync_pass is None:
        messages.warning(request, "Nothing is connected yet.")
    else:
        coverage_count(sync_pass, request.user)
        messages.success(request, "Workbooks was counted.")
    return redirect("admin:coverage")
