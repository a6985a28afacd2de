"""Records: why one did or did not sync, and those without an owner."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect

from reconciliation import jobs
from reconciliation.models import Binding, SyncPass
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count
from reconciliation.selectors import without_owner as rows_without_owner
from reconciliation.services.owners import near_matches, owners_recheck
from reconciliation.services.why import explain_organisation, find
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, is_local, page, paginate, render

OWNER_COLUMNS = (
    Column("organisation", lambda b: b.name),
    Column("Workbooks id", lambda b: b.crm_id),
    Column("Assigned To", lambda b: b.owner_text),
    Column("near matches in Outreach", lambda b: ", ".join(b.near)),
    Column("account", lambda b: b.peer_id),
    Column("address", lambda b: b.peer_url),
    Column("last synced", lambda b: b.synced_at),
)


@page()
def why(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "").strip()[:300]
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name="organisations").first()
    found = find(sync_pass, text) if sync_pass and text else []
    explanation = explain_organisation(sync_pass, found[0][0]) if sync_pass and len(found) == 1 else None
    fields = []
    if explanation and explanation.record:
        rules = sync_pass.mapping.rules.filter(is_enabled=True)
        account = explanation.account.fields if explanation.account else {}
        fields = [
            {
                "crm": r.crm_field,
                "peer": r.peer_field,
                "left": explanation.record.fields.get(r.crm_field),
                "right": account.get(r.peer_field),
            }
            for r in rules
        ]
    return render(
        request,
        "admin/reconciliation/record/why.html",
        "Why?",
        q=text,
        found=found,
        it=explanation,
        fields=fields,
        is_connected=bool(sync_pass),
    )


def _add_near(rows: list[Binding]) -> None:
    found = near_matches(rows[0].sync_pass.peer, (b.owner_text for b in rows))
    for row in rows:
        row.near = found.get(row.owner_text, [])  # type: ignore[attr-defined]


@page()
def export_without_owner(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "without-owner", OWNER_COLUMNS, rows_without_owner(), prepare=_add_near)


@page()
def without_owner(request: HttpRequest) -> HttpResponse:
    rows = rows_without_owner()
    title = f"Records without owner: {bounded_count(rows)}"
    shown = paginate(request, rows)
    near = near_matches(shown[0].sync_pass.peer, (b.owner_text for b in shown)) if shown else {}
    lines = [(b, near.get(b.owner_text, [])) for b in shown]
    return render(request, "admin/reconciliation/record/without_owner.html", title, rows=shown, lines=lines)


@action(OPERATE)
def check_owners(request: HttpRequest) -> HttpResponse:
    """Looks again for the owners, as the daily check does."""
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name="organisations").first()
    if sync_pass is None:
        messages.warning(request, "Nothing is connected yet.")
        return redirect("admin:owner_list")
    found = owners_recheck(sync_pass, request.user.get_username())
    if found:
        jobs.nudge(sync_pass.name, request.user.get_username())
    if found:
        messages.success(request, f"{found} of them are Outreach usernames by now; the next run sets their owners.")
    else:
        messages.success(request, "No change: none is an Outreach username.")
    return redirect("admin:owner_list")


@action(OPERATE)
def refresh_cases(request: HttpRequest) -> HttpResponse:
    """Looks at the organisations of open cases again, as the hourly check does, and goes back to the queue."""
    jobs.ask_for("refresh_cases", "organisations", request.user.get_username())
    messages.success(request, "Open cases are being compared with Workbooks; those that were decided there close by themselves.")
    back = request.POST.get("back", "")
    return redirect(back if is_local(back) else "admin:duplicate_list")
