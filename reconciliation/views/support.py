"""*Copy for support*: the redacted bundle of a case, a run or a write, to read, to copy and to download."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse

from reconciliation.roles import OPERATE
from reconciliation.services.support import NothingToBundle, bundle_take, bundle_text
from reconciliation.views.page import action, page, render

WORDS = {"case": "case", "run": "run", "operation": "write"}
BACK = {"run": "admin:run_detail", "operation": "admin:operation_detail"}


@page(OPERATE)
def show(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    shows_people = request.GET.get("people") == "1"
    try:
        text = bundle_text(kind, pk, shows_people=shows_people)
    except NothingToBundle:
        raise Http404 from None
    title = f"Copy for support: {WORDS[kind]} {pk}"
    context = {"text": text, "kind": kind, "pk": pk, "shows_people": shows_people}
    return render(request, "admin/reconciliation/support/show.html", title, **context)


@action(OPERATE)
def download(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """The same as a file. By POST, because it is recorded who took it."""
    try:
        text = bundle_take(kind, pk, request.user, shows_people=request.POST.get("people") == "1")
    except NothingToBundle:
        raise Http404 from None
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="support-{kind}-{pk}.json"'
    return response
