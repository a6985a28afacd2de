"""Records: why one did or did not sync, and those without an owner."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from reconciliation.models import SyncPass
from reconciliation.selectors import bounded_count
from reconciliation.selectors import without_owner as rows_without_owner
from reconciliation.services.why import explain_organisation, find
from reconciliation.views.page import page, paginate, render


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


@page()
def without_owner(request: HttpRequest) -> HttpResponse:
    rows = rows_without_owner()
    title = f"Records without owner: {bounded_count(rows)}"
    return render(request, "admin/reconciliation/record/without_owner.html", title, rows=paginate(request, rows))
