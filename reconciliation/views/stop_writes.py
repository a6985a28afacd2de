"""The switch in every page's header: nothing more is sent, until an admin allows it again."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from reconciliation.roles import ADMINISTER
from reconciliation.services.stop_writes import StopRefused, writes_allow, writes_stop
from reconciliation.views.page import action, is_local


@action(ADMINISTER)
def stop(request: HttpRequest) -> HttpResponse:
    try:
        writes_stop(request.user, request.POST.get("reason", ""))
        messages.success(request, "All writes are stopped. Calls that were under way end; nothing new is sent.")
    except StopRefused as refusal:
        messages.warning(request, str(refusal))
    return _back(request)


@action(ADMINISTER)
def allow(request: HttpRequest) -> HttpResponse:
    try:
        writes_allow(request.user, request.POST.get("reason", ""))
        messages.success(request, "Writes are allowed again; passes that are on begin with what has waited.")
    except StopRefused as refusal:
        messages.warning(request, str(refusal))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    back = request.POST.get("back", "")
    return redirect(back if is_local(back) else "admin:index")
