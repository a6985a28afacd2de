"""The queue of questions about contacts of mailboxes: what was deleted on one side, and whose e-mail address is there already."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation import jobs
from reconciliation.filters import ContactQuestionFilter
from reconciliation.models import Case
from reconciliation.roles import OPERATE
from reconciliation.services import contact_questions as questions
from reconciliation.services.case_desk import colleagues, present, sit_down
from reconciliation.services.duplicates import Decision
from reconciliation.templatetags.sync import named
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render, whole_number

RELATED = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox__group", "sync_pass__parent__crm", "sync_pass__parent__mapping")
COLUMNS = (
    Column("contact", lambda c: c.name),
    Column("mailbox", lambda c: c.sync_pass.mailbox.address),
    Column("system", lambda c: c.sync_pass.peer.get_system_display()),
    Column("question", lambda c: c.get_kind_display()),
    Column("why", lambda c: c.sentence),
    Column("Salesforce id", lambda c: c.crm_id),
    Column("candidates", lambda c: ", ".join(f"{one['peer_id']} {one['name']}" for one in c.candidates)),
    Column("since", lambda c: c.opened_at),
    Column("state", lambda c: c.get_state_display()),
    Column("decision", lambda c: c.get_decision_word() if not c.is_open else ""),
    Column("decided by", lambda c: c.decided_by),
    Column("closed", lambda c: c.closed_at),
    Column("given to", lambda c: c.assigned_to),
    Column("note", lambda c: c.note),
)


def _rows() -> QuerySet[Case]:
    return Case.objects.filter(kind__in=questions.KINDS).select_related(*RELATED, "assigned_to", "open_by", "decided_by")


def _chosen(request: HttpRequest) -> ContactQuestionFilter:
    return ContactQuestionFilter(request.GET, _rows().order_by("-id"))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "contacts", COLUMNS, _chosen(request).qs)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _chosen(request)
    title = f"Questions about contacts: {chosen.heading}"
    return render(request, "admin/reconciliation/contact/list.html", title, filter=chosen, rows=paginate(request, chosen.qs))


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One question: what the mailbox has, what Salesforce has, and each answer with its writes."""
    waiting = Case.objects.filter(kind__in=questions.KINDS, state=Case.State.OPEN)
    neighbours = {
        "following": Subquery(waiting.filter(pk__lt=pk).order_by("-pk").values("pk")[:1]),
        "before": Subquery(waiting.filter(pk__gt=pk).order_by("pk").values("pk")[:1]),
    }
    case = get_object_or_404(_rows().annotate(**neighbours), pk=pk)
    return render(
        request,
        f"admin/reconciliation/contact/{case.kind}.html",
        f"{case.get_kind_display()}: {named(case.name, case.peer_id)}",
        case=case,
        mailbox=case.sync_pass.mailbox,
        present=present(case, request.user),
        colleagues=colleagues() if case.is_open else [],
        back=questions.take_back(case),
        **_SHOWN[case.kind](case),
    )


def _shown_deletion(case: Case) -> dict[str, Any]:
    holders = questions.holders_of(case)
    return {"holders": holders, "answers": questions.answers_of(case, holders), "rows": questions.last_values(case)}


def _shown_exists(case: Case) -> dict[str, Any]:
    template = case.sync_pass.crm.page_address_template.replace("{object}", "Contact")
    candidates = [{**one, "url": template.replace("{id}", one["peer_id"])} for one in case.candidates]
    return {"candidates": candidates, "answers": questions.answers_of(case), "rows": questions.compare(case)}


_SHOWN = {Case.Kind.DELETION: _shown_deletion, Case.Kind.EXISTS: _shown_exists}


@action(OPERATE)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Carries out the answer that was shown, then goes to the next question."""
    case = get_object_or_404(_rows(), pk=pk)
    decision = Decision(case, request.user, stamp=request.POST.get("stamp", ""), reason=request.POST.get("reason", "").strip()[:1000])  # type: ignore[arg-type]
    what = request.POST.get("answer", "")[:40]
    if what == "undo":
        questions.answer_undo(decision)
        jobs.nudge(case.sync_pass.name, request.user.get_username())
        messages.success(request, f"“{case.name}” is open again; the answer was taken back.")
        return redirect("admin:contact_question", case.pk)
    if what == "later":
        chosen = whole_number(request.POST.get("assign_to", ""))
        colleague = colleagues().filter(pk=chosen).first() if chosen is not None else None
        questions.put_off(decision, colleague)
        messages.success(request, f"“{case.name}” stays open {f'for {colleague} ' if colleague else ''}with your note.")
        return redirect("admin:contact_question_list")
    said = questions.answer(decision, what, request.POST.get("contact", "")[:64])
    messages.success(request, f"“{case.name}” {said}.")
    fresh = Case.objects.filter(kind__in=questions.KINDS, state=Case.State.OPEN, pk__lt=case.pk, note="", assigned_to=None)
    following = fresh.order_by("-id").values_list("pk", flat=True).first()
    return redirect("admin:contact_question", following) if following else redirect("admin:contact_question_list")


@action(OPERATE)
def here(request: HttpRequest, pk: int) -> JsonResponse:
    """Notes that this person has the question open and says who else has."""
    case = get_object_or_404(Case, pk=pk, kind__in=questions.KINDS)
    return JsonResponse({"other": sit_down(case, request.user)})  # type: ignore[arg-type]
