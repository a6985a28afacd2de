"""Versions of a mapping table: the list, what differs between two, and the way back to one."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.errors import ConnectorError
from reconciliation.models import MappingTable, MappingVersion
from reconciliation.roles import ADMINISTER
from reconciliation.services.mapping_versions import diff_between, first_link_word, proposal_of, version_restore
from reconciliation.services.mappings import MappingRefused, impact_of, pass_of, systems_of_tables
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.mappings import NO_SYSTEMS, WHEN_IT_ARRIVES
from reconciliation.views.page import page, paginate, render, whole_number

MOST_OFFERED = 200


COLUMNS = (
    Column("version", lambda v: v.version),
    Column("saved", lambda v: v.saved_at),
    Column("by", lambda v: v.saved_by_name),
    Column("reason", lambda v: v.reason),
    Column("rows", lambda v: len(v.rows)),
)


@page()
def export(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    table = get_object_or_404(MappingTable, pk=pk)
    return export_rows(request, "mapping-versions", COLUMNS, MappingVersion.objects.filter(table=table))


@page()
def show_list(request: HttpRequest, pk: int) -> HttpResponse:
    table = get_object_or_404(MappingTable, pk=pk)
    rows = paginate(request, MappingVersion.objects.filter(table=table))
    title = f"{table.name}: versions"
    return render(request, "admin/reconciliation/mapping/versions.html", title, table=table, rows=rows)


@page()
def show(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """One version beside another one: by default the one before it."""
    table = get_object_or_404(MappingTable, pk=pk)
    kept = MappingVersion.objects.filter(table=table)
    newer = kept.filter(version=version).first()
    title = f"{table.name}: version {version}"
    if newer is None:  # saved before versions were kept, or never
        return render(request, "admin/reconciliation/mapping/version.html", title, table=table, version=version, kept=None)
    asked = whole_number(request.GET.get("with", ""))
    other = kept.filter(version=asked).first() if asked is not None else kept.filter(version__lt=version).first()
    older, later = (other, newer) if other is None or other.version <= newer.version else (newer, other)
    diff, first_link = diff_between(older, later) if older is not None else ([], None)
    return render(
        request,
        "admin/reconciliation/mapping/version.html",
        title,
        table=table,
        version=version,
        kept=newer,
        older=older,
        later=later,
        diff=diff,
        changed=[line for line in diff if line.kind != "same"],
        same=[line for line in diff if line.kind == "same"],
        first_link=first_link,
        systems=systems_of_tables().get(table.pk, NO_SYSTEMS),
        first_link_now=first_link_word(newer.on_first_link),
        versions=list(kept.values_list("version", flat=True)[:MOST_OFFERED]),
    )


@page(ADMINISTER)
def restore(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """Back to this version: what would change in the rows and in Outreach is shown, then saved as a new version."""
    table = get_object_or_404(MappingTable, pk=pk)
    sync_pass = pass_of(table)
    if sync_pass is None:
        raise Http404
    kept = get_object_or_404(MappingVersion, table=table, version=version)
    if request.method == "POST":
        rests_on = whole_number(request.POST.get("version", ""))
        try:
            reason = request.POST.get("reason", "").strip()[:900]
            new = version_restore(sync_pass, kept, request.user, rests_on=-1 if rests_on is None else rests_on, reason=reason)
        except MappingRefused as refusal:
            messages.error(request, f"Nothing was saved. {refusal}")
            return redirect("admin:mapping_restore", pk, version)
        messages.success(request, f"Saved as version {new}, with the rows of version {version}. {WHEN_IT_ARRIVES}")
        return redirect("admin:mapping_versions", pk)
    proposal = proposal_of(sync_pass.mapping, kept.rows, kept.on_first_link)
    shown, refused, trouble = None, "", ""
    try:
        shown = impact_of(sync_pass, proposal.changes, proposal.added) if not proposal.is_empty else None
    except MappingRefused as refusal:
        refused = f"It cannot be saved as it was: {refusal}"
    except ConnectorError as error:
        trouble = f"What it would write could not be worked out: {error.sentence}. {error.remedy}"
    return render(
        request,
        "admin/reconciliation/mapping/restore.html",
        f"{table.name}: back to version {version}",
        table=table,
        kept=kept,
        proposal=proposal,
        changed=[line for line in proposal.diff if line.kind != "same"],
        impact=shown,
        refused=refused,
        trouble=trouble,
    )
