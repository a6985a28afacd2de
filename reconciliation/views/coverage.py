"""Coverage: how much of Workbooks is in Outreach, in numbers and in lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from connectors.contract import Record
from connectors.errors import ConnectorError
from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.values import normalise_name
from reconciliation.models import Binding, CoverageCount, SyncPass
from reconciliation.models.prefix import starts_with
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.roles import OPERATE
from reconciliation.selectors import coverage_counts, pass_named
from reconciliation.services.coverage import LISTS, Slice, coverage_count, live_list, live_rows
from reconciliation.store import organisation_columns
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render

PASS, PROSPECTS = "organisations", "prospects"
OF_ITEMS = {"events": "event", "tasks": "task"}  # passes whose items have a list


@page()
def show(request: HttpRequest) -> HttpResponse:
    # Activities and e-mails have lists of their own: nothing of them is linked.
    whole = SyncPass.objects.whole().select_related("crm", "peer").order_by("pk")
    passes = [p for p in whole if not p.is_of_activities and not p.is_of_emails]
    sync_pass = next((p for p in passes if p.name == PASS), None)
    counted = CoverageCount.objects.filter(sync_pass=sync_pass).first() if sync_pass else None
    ours = coverage_counts([p.pk for p in passes], {p.pk for p in passes if p.name in MAILBOX_PASSES})
    counts = counted.counts if counted else {}
    theirs = [(name, title, counts.get(name)) for name, title in LISTS.items()]
    return render(
        request,
        "admin/reconciliation/record/coverage.html",
        "Coverage",
        passes=[(p, _tiles(p, ours[p.pk])) for p in passes],
        is_counted_there=sync_pass is not None,
        counted=counted,
        theirs=theirs,
        in_outreach=counts.get("in_outreach"),
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """One count with the list behind it; `tone` says how it is meant: work ("warn", "bad") or none ("calm")."""

    title: str
    count: str
    address: str
    tone: str = "calm"


def _tiles(sync_pass: SyncPass, counts: Mapping[str, str]) -> list[Tile]:
    """Returns what is known of one pass, each count with a way to its list where there is one for this pass."""

    def tile(title: str, name: str, page_name: str, query: str = "", tone: str = "calm") -> Tile:
        address = reverse(f"admin:{page_name}") + (f"?{query}" if query else "")
        return Tile(title, counts[name], address, "calm" if counts[name] == "0" else tone)

    own = f"sync_pass={sync_pass.pk}"
    is_of_mailboxes = sync_pass.name in MAILBOX_PASSES
    where = "mailboxes" if is_of_mailboxes else sync_pass.peer
    linked = Tile(f"In {where}: linked", counts["linked"], _linked_address(sync_pass), "")
    of_pass = [linked, tile("Errors", "errors", "error_list", tone="bad")]
    if sync_pass.is_two_way:
        of_pass.append(tile("Conflicts to decide", "conflicts", "conflict_list", f"state=open&{own}", "warn"))
        if sync_pass.name == PROSPECTS:
            of_pass.append(tile("Wait for a choice", "remaps", "prospect_list", "state=asked", "warn"))
    else:
        of_pass.append(tile("Duplicates to decide", "duplicates", "duplicate_list", tone="warn"))
    if not is_of_mailboxes:  # what a mailbox makes is its user's
        of_pass.append(tile("Without owner", "without_owner", "owner_list", tone="warn"))
    of_pass.append(tile("Fields that differ since linking", "differences", "difference_list", own))
    of_pass.append(tile("Held blanks", "blanks", "difference_list", f"kind=blank&{own}"))
    return [*of_pass, tile("Deleted", "deleted", "tombstone_list", f"restored=no&{own}")]


def _linked_address(sync_pass: SyncPass) -> str:
    """Returns the list of what a pass has linked, "" where there is none."""
    if sync_pass.name == PASS:
        return reverse("admin:coverage_list", args=["linked"])
    if sync_pass.name in OF_ITEMS:
        return f"{reverse('admin:item_list')}?kind={OF_ITEMS[sync_pass.name]}&state=linked"
    if sync_pass.name in MAILBOX_PASSES:
        return reverse("admin:mailbox_list")
    return reverse("admin:prospect_list") + "?state=linked" if sync_pass.name == PROSPECTS else ""


@page()
def show_list(request: HttpRequest, show: str) -> HttpResponse:
    """One list: what is linked from our own store, everything else as Workbooks has it now."""
    sync_pass = pass_named(PASS)
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
    lines = [_line(r, columns) for r in rows]
    return render(
        request, "admin/reconciliation/record/coverage_list.html", LISTS[show], show=show, lines=lines, trouble=trouble, following=following
    )


def _after(request: HttpRequest) -> Slice | None:
    try:
        at = datetime.fromisoformat(request.GET.get("after", ""))
    except ValueError:
        return None
    id_ = request.GET.get("id", "")
    return Slice(at, id_) if id_.isascii() and id_.isdigit() and at.tzinfo is not None else None


def _line(record: Record, columns: PluginColumns) -> dict[str, Any]:
    names = {"ticked": columns.sync, "duplicate": columns.duplicate, "error": columns.error, "peer_id": columns.peer_id}
    return {"record": record, **{word: record.fields.get(name) for word, name in names.items()}}


def _linked_rows(request: HttpRequest, sync_pass: SyncPass) -> QuerySet[Binding]:
    rows = Binding.objects.filter(sync_pass=sync_pass, is_tombstone=False).select_related("sync_pass__crm", "sync_pass__peer")
    key = normalise_name(request.GET.get("name", "")[:200])
    return (rows.filter(starts_with("name_key", key)) if key else rows).order_by("-id")


def _linked(request: HttpRequest, sync_pass: SyncPass) -> HttpResponse:
    shown, text = paginate(request, _linked_rows(request, sync_pass)), request.GET.get("name", "")[:200]
    return render(request, "admin/reconciliation/record/linked.html", "In Outreach: linked organisations", rows=shown, name=text)


LINKED_COLUMNS = (
    Column("organisation", lambda b: b.name),
    Column("Workbooks id", lambda b: b.crm_id),
    Column("account", lambda b: b.peer_id),
    Column("address", lambda b: b.peer_url),
    Column("how", lambda b: b.how),
    Column("Id owed", lambda b: b.is_write_back_due),
    Column("since", lambda b: b.bound_at),
    Column("last agreement", lambda b: b.synced_at),
)
LIVE_COLUMNS = (
    Column("organisation", lambda it: it["record"].fields.get("name")),
    Column("Workbooks id", lambda it: it["record"].ref.id),
    Column("Sync to Outreach", lambda it: it["ticked"]),
    Column("Outreach Duplicate", lambda it: it["duplicate"]),
    Column("Outreach Sync Error", lambda it: it["error"]),
    Column("Outreach Id", lambda it: it["peer_id"]),
    Column("edited", lambda it: it["record"].updated_at),
    Column("edited by", lambda it: it["record"].updated_by),
)


@page()
def export_list(request: HttpRequest, show: str) -> StreamingHttpResponse:
    sync_pass = pass_named(PASS)
    if sync_pass is None or show not in (*LISTS, "linked"):
        raise Http404
    if show == "linked":
        return export_rows(request, "linked", LINKED_COLUMNS, _linked_rows(request, sync_pass))
    columns = organisation_columns(sync_pass)
    return export_rows(request, show.replace("_", "-"), LIVE_COLUMNS, (_line(r, columns) for r in live_rows(sync_pass, show)))


@action(OPERATE)
def count(request: HttpRequest) -> HttpResponse:
    """Asks Workbooks for its counts now."""
    sync_pass = pass_named(PASS)
    if sync_pass is None:
        messages.warning(request, "Nothing is connected yet.")
    else:
        coverage_count(sync_pass, request.user)
        messages.success(request, "Workbooks was counted.")
    return redirect("admin:coverage")
