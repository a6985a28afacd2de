"""The duplicates queue: list, one case side by side, decision."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.contract import Value
from reconciliation.core.transforms import CannotConvert, Unmatched, convert
from reconciliation.core.values import is_same
from reconciliation.filters import CaseFilter
from reconciliation.models import Case
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count, known_users
from reconciliation.services import duplicates
from reconciliation.services.duplicates import Decision, DecisionRefused
from reconciliation.store import decode_fields
from reconciliation.views.page import action, page, paginate, render

KIND = Case.Kind.DUPLICATE


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = CaseFilter(request.GET, Case.objects.filter(kind=KIND).order_by("-id"))
    count = bounded_count(Case.objects.filter(kind=KIND, state=Case.State.OPEN))
    return render(
        request, "admin/reconciliation/duplicate/list.html", f"Duplicates: {count} open", filter=chosen, rows=paginate(request, chosen.qs)
    )


def compare(case: Case) -> list[dict[str, Any]]:
    """Returns a row per mapped field: what we have, and per candidate what it has and whether that differs."""
    ours = decode_fields(case.crm_fields)
    candidates = [decode_fields(c["fields"]) for c in case.candidates]
    rows = []
    users = known_users(case.sync_pass.peer)
    for rule in case.sync_pass.mapping.rules.filter(is_enabled=True):
        left = ours.get(rule.crm_field)
        wanted = _converted(rule.transform, left, users)
        cells = [{"value": c.get(rule.peer_field), "differs": not is_same(wanted, c.get(rule.peer_field))} for c in candidates]
        rows.append(
            {"name": rule.crm_field, "peer": rule.peer_field, "left": left, "cells": cells, "differs": any(c["differs"] for c in cells)}
        )
    return rows


def _converted(transform: str, value: Value, users: dict[str, str]) -> Value:
    """Returns what Outreach would hold for a value, so that only real differences are marked."""
    try:
        wanted = convert(transform, value, users=users)
    except CannotConvert:
        return value
    return None if isinstance(wanted, Unmatched) else wanted


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    case = get_object_or_404(Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping"), pk=pk, kind=KIND)
    holders = duplicates.holders_of(case)
    candidates = [
        {
            **c,
            "url": case.sync_pass.peer.page_address_template.replace("{id}", c["peer_id"]),
            "holder": holders[c["peer_id"]].name if c["peer_id"] in holders else "",
            "plan": duplicates.plan_link(case, c["peer_id"], holders),
        }
        for c in case.candidates
    ]
    following = Case.objects.filter(kind=KIND, state=Case.State.OPEN, pk__lt=case.pk).order_by("-id").values_list("pk", flat=True).first()
    before = Case.objects.filter(kind=KIND, state=Case.State.OPEN, pk__gt=case.pk).order_by("id").values_list("pk", flat=True).first()
    return render(
        request,
        "admin/reconciliation/duplicate/detail.html",
        f"Duplicate: {case.name}",
        case=case,
        rows=compare(case),
        candidates=candidates,
        crm_url=case.sync_pass.crm.page_address_template.replace("{id}", case.crm_id),
        plan_different=duplicates.plan_different(case),
        plan_stop=duplicates.plan_stop(case),
        following=following,
        before=before,
    )


@action(OPERATE)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Carries out the decision that was shown, then goes to the next case."""
    case = get_object_or_404(Case, pk=pk, kind=KIND)
    decision = Decision(case, request.user, stamp=request.POST.get("stamp", ""), reason=request.POST.get("reason", "")[:1000])
    what = request.POST.get("decision", "")
    if what == "link":
        duplicates.duplicate_link(decision, request.POST.get("peer_id", ""), move=request.POST.get("move") == "1")
        said = "is linked"
    elif what == "different":
        duplicates.duplicate_different(decision)
        said = "is remembered as a different company; the next pass creates its account"
    elif what == "stop":
        duplicates.duplicate_stop(decision)
        said = "is not synced any more"
    elif what == "later":
        duplicates.duplicate_later(decision)
        said = "stays open with your note"
    else:
        raise DecisionRefused("Choose what to do with this case.")
    messages.success(request, f"“{case.name}” {said}.")
    following = Case.objects.filter(kind=KIND, state=Case.State.OPEN, pk__lt=case.pk).order_by("-id").values_list("pk", flat=True).first()
    return redirect("admin:duplicate_detail", following) if following and what != "later" else redirect("admin:duplicate_list")
