"""The duplicates queue: list, one case side by side, decision."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.contract import Value
from reconciliation import jobs
from reconciliation.core.counting import bent
from reconciliation.core.transforms import CannotConvert, Unmatched, convert
from reconciliation.core.values import is_same
from reconciliation.filters import DuplicateFilter
from reconciliation.models import Case
from reconciliation.passes.organisations import OWNER
from reconciliation.roles import OPERATE
from reconciliation.selectors import known_users
from reconciliation.services import duplicates
from reconciliation.services.case_desk import colleagues, present, sit_down
from reconciliation.services.duplicate_bulk import MOST_AT_ONCE, equal_domains
from reconciliation.services.duplicate_undo import created_since, duplicate_undo, plan_undo
from reconciliation.services.duplicates import Decision, DecisionRefused
from reconciliation.store import decode_fields
from reconciliation.templatetags.sync import named
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render, whole_number

KIND = Case.Kind.DUPLICATE
RELATED = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "decided_by", "assigned_to", "open_by")
COLUMNS = (
    Column("organisation", lambda c: c.name),
    Column("Workbooks id", lambda c: c.crm_id),
    Column("why", lambda c: c.sentence),
    Column("candidates", lambda c: len(c.candidates)),
    Column("accounts", lambda c: ", ".join(f"{a['peer_id']} {a['name']}" for a in c.candidates)),
    Column("since", lambda c: c.opened_at),
    Column("state", lambda c: c.get_state_display()),
    Column("decision", lambda c: c.get_decision_word() if not c.is_open else ""),
    Column("decided by", lambda c: c.decided_by),
    Column("closed", lambda c: c.closed_at),
    Column("given to", lambda c: c.assigned_to),
    Column("note", lambda c: c.note),
)


def _chosen(request: HttpRequest) -> DuplicateFilter:
    rows = Case.objects.filter(kind=KIND).select_related("assigned_to", "open_by", "decided_by")
    return DuplicateFilter(request.GET, rows.order_by("-id"))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "duplicates", COLUMNS, _chosen(request).qs)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _chosen(request)
    return render(
        request,
        "admin/reconciliation/duplicate/list.html",
        f"Duplicates: {chosen.heading}",
        filter=chosen,
        rows=paginate(request, chosen.qs),
    )


def compare(case: Case) -> list[dict[str, Any]]:
    """Returns a row per mapped field: what we have, and per candidate what it has and whether that differs."""
    ours = decode_fields(case.crm_fields)
    candidates = [decode_fields(c["fields"]) for c in case.candidates]
    rows = []
    users = known_users(case.sync_pass.peer)
    names = {id_: username for username, id_ in users.items()}
    titles = (case.sync_pass.crm.schema_cache or {}).get(case.sync_pass.mapping.crm_object, {})
    for rule in case.sync_pass.mapping.rules.filter(is_enabled=True):
        left = ours.get(rule.crm_field)
        wanted = _converted(rule.transform, left, users)
        is_owner = rule.peer_field == OWNER
        cells = []
        for fields in candidates:
            value = fields.get(rule.peer_field)
            shown = names.get(str(value), value) if is_owner else value
            cells.append({"value": shown, "differs": not is_same(wanted, value)})
        title = titles.get(rule.crm_field, {}).get("title") or rule.crm_field
        rows.append({"name": title, "peer": rule.peer_field, "left": left, "cells": cells, "differs": any(c["differs"] for c in cells)})
    return rows


def _converted(transform: str, value: Value, users: dict[str, str]) -> Value:
    """Returns what Outreach would hold for a value, so that only real differences are marked. Who is no user there would
    be nobody."""
    try:
        wanted = convert(transform, value, users=users)
    except CannotConvert:
        return value
    return None if isinstance(wanted, Unmatched) else wanted


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    waiting = Case.objects.filter(kind=KIND, state=Case.State.OPEN)
    neighbours = {
        "following": Subquery(waiting.filter(pk__lt=pk).order_by("-pk").values("pk")[:1]),
        "before": Subquery(waiting.filter(pk__gt=pk).order_by("pk").values("pk")[:1]),
    }
    case = get_object_or_404(Case.objects.select_related(*RELATED).annotate(**neighbours), pk=pk, kind=KIND)
    holders = duplicates.holders_of(case)
    candidates = [
        {
            **c,
            "url": case.sync_pass.peer.page_address_template.replace("{id}", c["peer_id"]),
            "holder": f"organisation {h.crm_id} {h.name}" if (h := holders.get(c["peer_id"])) else "",
            "plan": duplicates.plan_link(case, c["peer_id"], holders),
        }
        for c in case.candidates
    ]
    return render(
        request,
        "admin/reconciliation/duplicate/detail.html",
        f"Duplicate: {named(case.name, case.crm_id)}",
        case=case,
        rows=compare(case),
        candidates=candidates,
        crm_url=case.sync_pass.crm.page_address_template.replace("{id}", case.crm_id),
        plan_different=duplicates.plan_different(case),
        plan_stop=duplicates.plan_stop(case),
        plan_undo=plan_undo(case),
        undo_first=created_since(case),
        present=present(case, request.user),
        colleagues=colleagues() if case.state == Case.State.OPEN else [],
        following=case.following,
        before=case.before,
    )


@action(OPERATE)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Carries out the decision that was shown, then goes to the next case."""
    case = get_object_or_404(Case, pk=pk, kind=KIND)
    decision = Decision(case, request.user, stamp=request.POST.get("stamp", ""), reason=request.POST.get("reason", "")[:1000])
    what = request.POST.get("decision", "")
    carry_out = {"link": _link, "different": _different, "stop": _stop, "later": _later, "undo": _undo}.get(what)
    if carry_out is None:
        raise DecisionRefused("Choose what to do with this case.")
    said = carry_out(request, decision)
    messages.success(request, f"“{case.name}” {said}.")
    if what == "undo":
        return redirect("admin:duplicate_detail", case.pk)
    fresh = Case.objects.filter(kind=KIND, state=Case.State.OPEN, pk__lt=case.pk, note="", assigned_to=None)  # not what was put off
    following = fresh.order_by("-id").values_list("pk", flat=True).first()
    return redirect("admin:duplicate_detail", following) if following and what != "later" else redirect("admin:duplicate_list")


def _link(request: HttpRequest, decision: Decision) -> str:
    duplicates.duplicate_link(decision, request.POST.get("peer_id", ""), move=request.POST.get("move") == "1")
    return "is linked"


def _different(request: HttpRequest, decision: Decision) -> str:
    duplicates.duplicate_different(decision)
    return "is remembered as a different company; the next pass creates its account"


def _stop(request: HttpRequest, decision: Decision) -> str:
    duplicates.duplicate_stop(decision)
    return "is not synced any more"


def _later(request: HttpRequest, decision: Decision) -> str:
    chosen = whole_number(request.POST.get("assign_to", ""))
    colleague = colleagues().filter(pk=chosen).first() if chosen is not None else None
    duplicates.duplicate_later(decision, colleague)
    return f"stays open for {colleague} with your note" if colleague else "stays open with your note"


def _undo(request: HttpRequest, decision: Decision) -> str:
    duplicate_undo(decision)
    return "is open again; the decision was taken back"


@action(OPERATE)
def here(request: HttpRequest, pk: int) -> JsonResponse:
    """Notes that this person has the case open and says who else has."""
    case = get_object_or_404(Case, pk=pk, kind=KIND)
    return JsonResponse({"other": sit_down(case, request.user)})


@page(OPERATE)
def bulk(request: HttpRequest) -> HttpResponse:
    """Links many at once: shows each pair of equal name and domain first, then carries out what was chosen as a job."""
    if request.method == "POST":
        keys = [k for k in request.POST.getlist("link") if k.count("|") == 2 and whole_number(k.split("|")[0]) is not None][:MOST_AT_ONCE]
        if not keys:
            messages.warning(request, "Choose at least one pair. Nothing was done.")
            return redirect("admin:duplicate_bulk")
        jobs.ask_for("link_duplicates", keys, request.user.pk)
        messages.success(
            request, f"{len(keys)} {bent(len(keys), 'is', 'are')} being linked; the run at the top of the list says what became of each."
        )
        return redirect("admin:run_list")
    rows = equal_domains()
    title = "Link duplicates with equal domain"
    return render(request, "admin/reconciliation/duplicate/bulk.html", title, rows=rows, most=MOST_AT_ONCE)
