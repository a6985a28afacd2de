"""The errors queue: grouped by cause with a remedy in words; retry one, many, all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation import jobs
from reconciliation.filters import ERROR_REASONS, ERROR_REMEDIES, ErrorFilter
from reconciliation.models import Case, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count, open_reasons
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.errors import account_create_again, account_link_another, account_stop, error_retry
from reconciliation.templatetags.sync import named
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render, whole_number

KIND = Case.Kind.ERROR
MOST_AT_ONCE = 1000
COLUMNS = (
    Column("record", lambda c: c.name),
    Column("system", lambda c: c.subject_system),
    Column("type", lambda c: c.subject_record[1]),
    Column("id", lambda c: c.subject_record[2]),
    Column("Outreach id", lambda c: c.peer_id),
    Column("pass", lambda c: c.sync_pass.title),
    Column("mailbox", lambda c: c.sync_pass.mailbox_address),
    Column("what happened", lambda c: c.sentence),
    Column("what to do", lambda c: c.remedy),
    Column("cause", lambda c: ERROR_REASONS.get(c.reason, c.reason)),
    Column("since", lambda c: c.opened_at),
    Column("state", lambda c: c.get_state_display()),
    Column("decision", lambda c: c.get_decision_word() if not c.is_open else ""),
    Column("decided by", lambda c: c.decided_by),
    Column("closed", lambda c: c.closed_at),
    Column("note", lambda c: c.note),
)


def _cases(asked: QueryDict) -> ErrorFilter:
    """Returns the errors that a filter bar shows, with their passes and who decided them."""
    passes = list(SyncPass.objects.whole().select_related("crm", "peer").order_by("pk"))
    rows = Case.objects.filter(kind=KIND).select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox", "decided_by")
    return ErrorFilter(asked, rows.order_by("-id"), passes)


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "errors", COLUMNS, _cases(request.GET).qs)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _cases(request.GET)
    groups = [_group(reason, chosen.passes[pk], n) for reason, pk, n in open_reasons(KIND)]
    return render(
        request,
        "admin/reconciliation/error/list.html",
        f"Errors: {chosen.heading}",
        filter=chosen,
        rows=paginate(request, chosen.qs),
        groups=groups,
        flags=any(not group["sync_pass"].is_two_way for group in groups),
        waiting=bounded_count(_open_of(request.GET, chosen.passes.values())),
        most=MOST_AT_ONCE,
    )


def _group(reason: str, sync_pass: SyncPass, n: int) -> dict[str, Any]:
    """Returns the open errors of one cause in one pass, with the remedy in the words of its systems."""
    peer = "the mailbox" if sync_pass.kind in MAILBOX_PASSES else "Outreach"
    crm = f"Salesforce or {peer}" if sync_pass.is_two_way else sync_pass.crm.get_system_display()
    remedy = ERROR_REMEDIES.get(reason, "").replace("{crm}", crm).replace("Outreach", peer)
    title = ERROR_REASONS.get(reason, reason).replace("Outreach", peer)
    return {"reason": reason, "sync_pass": sync_pass, "n": n, "title": title, "remedy": remedy}


def _open_of(asked: QueryDict, passes: Iterable[SyncPass] | None = None) -> QuerySet[Case]:
    """Returns the open cases that a filter bar shows. `passes` are those that were read already."""
    known = SyncPass.objects.whole().order_by("pk") if passes is None else passes
    rows = Case.objects.filter(kind=KIND, state=Case.State.OPEN)
    return ErrorFilter(asked, rows, known).qs


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    case = get_object_or_404(Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox"), pk=pk, kind=KIND)
    url = case.sync_pass.crm.page_address_template.replace("{object}", case.crm_type).replace("{id}", case.crm_id)
    title = f"Error: {named(case.name, case.crm_id)}"
    return render(request, "admin/reconciliation/error/detail.html", title, case=case, crm_url=url)


@action(OPERATE)
def retry(request: HttpRequest) -> HttpResponse:
    """Re-arms the chosen cases, or all open ones that the filter shows, once each; the next pass tries them."""
    rows = _open_of(QueryDict(request.POST.get("filter", "")) if request.POST.get("all") == "1" else QueryDict())
    rows = rows.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping")
    if request.POST.get("all") != "1":
        rows = rows.filter(pk__in=[pk for pk in map(whole_number, request.POST.getlist("case")) if pk is not None])
    cases = list(rows.order_by("pk")[:MOST_AT_ONCE])
    if not cases:
        messages.warning(request, "Choose at least one open error.")
        return redirect("admin:error_list")
    if len(cases) > 1:
        jobs.ask_for("retry_errors", [c.pk for c in cases], request.user.pk)
        messages.success(request, f"{len(cases)} errors are being re-armed; the pass tries them right after.")
        return redirect("admin:error_list")
    done = error_retry(cases, request.user)
    jobs.nudge(cases[0].sync_pass.name, request.user.get_username())
    if done:
        messages.success(request, "It is re-armed; the pass tries it now.")
    else:
        messages.warning(request, f"{cases[0].sync_pass.crm} did not take the change; look at the journal.")
    return redirect("admin:error_list")


@action(OPERATE)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what shall become of an organisation whose account is gone (D35)."""
    case = get_object_or_404(Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping"), pk=pk, kind=KIND)
    what = request.POST.get("decision", "")
    if what == "again":
        account_create_again(case, request.user)
        said = "has no account any more for Workbooks; the next pass creates one, unless another account bears its name"
    elif what == "link":
        account_link_another(case, request.user, request.POST.get("peer_id", "").strip())
        said = "is linked"
    elif what == "stop":
        account_stop(case, request.user)
        said = "is not synced any more"
    else:
        raise DecisionRefused("Choose what to do with this case.")
    jobs.nudge(case.sync_pass.name, request.user.get_username())
    messages.success(request, f"“{case.name}” {said}.")
    return redirect("admin:error_list")
