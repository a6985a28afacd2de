"""Settings from one site to another: a file to take away, and a file to look at before anything is stored."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from reconciliation.roles import ADMINISTER
from reconciliation.services.audit import audit
from reconciliation.services.transfer import MOST_BYTES, TransferRefused, export_text, import_plan, settings_import
from reconciliation.views.page import action, page, render


@page(ADMINISTER)
def show(request: HttpRequest) -> HttpResponse:
    return render(request, "admin/reconciliation/transfer/show.html", "Transfer settings")


@action(ADMINISTER)
def export(request: HttpRequest) -> HttpResponse:
    """The file of this site's settings. By POST, because it is recorded who took it."""
    text = export_text()
    audit(request.user, "export settings", "Settings")
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="syncsite-settings-{timezone.localdate():%Y-%m-%d}.json"'
    return response


@action(ADMINISTER)
def preview(request: HttpRequest) -> HttpResponse:
    """Shows what the file would change. Nothing is kept here: the text goes back with the confirmation, and is checked
    again."""
    given = request.FILES.get("file")
    if given is None:
        messages.warning(request, "Choose a file first.")
        return redirect("admin:transfer")
    try:
        text = given.read(MOST_BYTES + 1)
        plan = import_plan(text, request.user)
    except TransferRefused as refusal:
        messages.error(request, f"Nothing was stored. {refusal}")
        return redirect("admin:transfer")
    shown = text.decode("utf-8-sig")
    return render(
        request, "admin/reconciliation/transfer/preview.html", "What the file would change", plan=plan, text=shown, name=given.name
    )


@action(ADMINISTER)
def apply(request: HttpRequest) -> HttpResponse:
    try:
        plan = settings_import(request.POST.get("text", ""), request.user, stamp=request.POST.get("stamp", ""))
    except TransferRefused as refusal:
        messages.error(request, f"Nothing was stored. {refusal}")
    else:
        messages.success(
            request, f"Stored: {', '.join(part.title for part in plan.changed)}." if plan.changed else "Nothing had to change."
        )
    return redirect("admin:transfer")
