"""The dedupe policy: one question, two options, saved after a look at what the change does."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from reconciliation.models import Policy
from reconciliation.roles import ADMINISTER
from reconciliation.services.policy import PolicyRefused, dedupe_policy, policy_check, policy_set
from reconciliation.views.page import page, render

TITLE = "Dedupe policy"


@page()
def show(request: HttpRequest) -> HttpResponse:
    """Shows the setting to everybody; an admin's first POST asks for confirmation, the second one saves."""
    return _change(request) if request.method == "POST" else _shown(request)


@page(ADMINISTER)
def _change(request: HttpRequest) -> HttpResponse:
    choice, seen = request.POST.get("same_email", ""), request.POST.get("seen", "")
    try:
        if request.POST.get("confirmed") == "yes":
            is_new = policy_set(choice, seen, request.user)
            messages.success(request, "Saved. It holds from the next import on." if is_new else "Nothing was changed.")
            return redirect("admin:dedupe_policy")
        policy_check(choice, seen)
    except PolicyRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("admin:dedupe_policy")
    if choice == seen:
        messages.info(request, "Nothing was changed.")
        return redirect("admin:dedupe_policy")
    return _shown(request, choice)


def _shown(request: HttpRequest, wanted: str = "") -> HttpResponse:
    now = dedupe_policy()
    options = [(value, label, value == (wanted or now.choice)) for value, label in Policy.SameEmail.choices]
    template = "admin/reconciliation/policy/show.html"
    return render(request, template, TITLE, now=now, options=options, wanted=wanted, word=Policy.SameEmail(now.choice).label)
