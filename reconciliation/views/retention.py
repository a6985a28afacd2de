"""How long history is kept, what the last round removed, and a round now."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from reconciliation import jobs
from reconciliation.roles import ADMINISTER
from reconciliation.services.audit import audit
from reconciliation.services.retention import KEPT, Keep, RetentionRefused, removed_in_words, retention_row, retention_set
from reconciliation.views.page import action, page, render, whole_number


@page(ADMINISTER)
def show(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        try:
            given = {name: whole_number(request.POST.get(name, "").strip()) for name in KEPT}
            retention_set(Keep(**{name: -1 if days is None else days for name, days in given.items()}), request.user)
        except RetentionRefused as refusal:
            messages.error(request, f"Nothing was saved. {refusal}")
        else:
            messages.success(request, "Saved. The next daily round keeps to it.")
        return redirect("admin:retention")
    row = retention_row()
    rows = [{"name": n, "title": t, "days": getattr(row, n), "least": low, "most": high} for n, (t, low, high) in KEPT.items()]
    said = removed_in_words(row.removed)
    return render(request, "admin/reconciliation/retention/show.html", "Data kept", rows=rows, row=row, removed=said)


@action(ADMINISTER)
def prune_now(request: HttpRequest) -> HttpResponse:
    audit(request.user, "prune now", "Data kept")
    jobs.ask_for("prune", request.user.pk)
    messages.success(request, "The round begins as soon as a worker is free; what it removed is shown here.")
    return redirect("admin:retention")
