"""The conflicts queue: list, one record with its fields side by side, decision, many at once; and a lost value put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.db.models import Prefetch, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from reconciliation import jobs
from reconciliation.core.counting import are
from reconciliation.core.mapping import FieldRule
from reconciliation.core.settling import CannotSettle, Take, read_typed
from reconciliation.core.transforms import USER_PAIR
from reconciliation.engine.conflicts import sentence as both_changed
from reconciliation.field_titles import crm_title, peer_title
from reconciliation.filters import ConflictFilter
from reconciliation.models import Case, ConflictField, Operation, SyncPass
from reconciliation.roles import OPERATE
from reconciliation.selectors import name_last_seen, names_in_pairs, names_of_mailbox_users, open_conflict_fields
from reconciliation.services.case_desk import colleagues, present, sit_down
from reconciliation.services.conflict_desk import Choice, Tables, names_of, seen_of, tables_of
from reconciliation.services.conflict_restore import RELATED as OF_OPERATION
from reconciliation.services.conflict_restore import loser_plan, loser_restore, losers_of, put_back_by
from reconciliation.services.conflicts import MOST_AT_ONCE, bulk_rows, conflict_decide, conflict_later, offer
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.templatetags.sync import named
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, or_told, page, paginate, render, whole_number

KIND = Case.Kind.CONFLICT
RELATED = ("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox", "sync_pass__mapping", "decided_by", "assigned_to", "open_by")
TAKES: Mapping[str, Take] = {"crm": "crm", "peer": "peer", "typed": "typed"}


def _fields_of(case: Case) -> list[ConflictField]:
    """Returns the fields a list names: those still open, or all of a closed case."""
    rows = list(case.fields.all())
    return [row for row in rows if row.state == ConflictField.State.OPEN] or rows


def _why(case: Case, fields: Sequence[ConflictField]) -> str:
    """Returns what waits in an open case, without the fields that were settled since; of a closed one, what it was about."""
    return both_changed(_titles(case, fields)) if case.is_open and fields else case.sentence


def _titles(case: Case, fields: Sequence[ConflictField]) -> list[str]:
    return [peer_title(case.sync_pass, row.peer_field) for row in fields]


COLUMNS = (
    Column("record", lambda c: c.name),
    Column("type", lambda c: c.crm_type),
    Column("CRM id", lambda c: c.crm_id),
    Column("id in the other system", lambda c: c.peer_id),
    Column("mailbox", lambda c: c.sync_pass.mailbox or ""),
    Column("fields", lambda c: ", ".join(row.peer_field for row in _fields_of(c))),
    Column("why", lambda c: _why(c, _fields_of(c))),
    Column("since", lambda c: c.opened_at),
    Column("state", lambda c: c.get_state_display()),
    Column("decision", lambda c: c.get_decision_word() if not c.is_open else ""),
    Column("decided by", lambda c: c.decided_by),
    Column("closed", lambda c: c.closed_at),
    Column("given to", lambda c: c.assigned_to),
    Column("note", lambda c: c.note),
)


def _chosen(request: HttpRequest) -> ConflictFilter:
    rows = Case.objects.filter(kind=KIND).select_related("sync_pass__mailbox", "assigned_to", "open_by", "decided_by")
    fields = Prefetch("fields", ConflictField.objects.order_by("pk"))
    return ConflictFilter(request.GET, rows.prefetch_related(fields).order_by("-id"))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "conflicts", COLUMNS, _chosen(request).qs)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _chosen(request)
    rows = paginate(request, chosen.qs)
    for case in rows:
        fields = _fields_of(case)
        case.listed, case.sentence = _titles(case, fields), _why(case, fields)
    of_mailboxes = any(case.sync_pass.mailbox_id is not None for case in rows)
    title = f"Conflicts: {chosen.heading}"
    return render(request, "admin/reconciliation/conflict/list.html", title, filter=chosen, rows=rows, of_mailboxes=of_mailboxes)


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One record: each field with what both sides agreed on, what each holds, who changed it, and what a choice writes. Who
    may not decide reads the same, without the choices."""
    waiting = Case.objects.filter(kind=KIND, state=Case.State.OPEN)
    neighbours = {
        "following": Subquery(waiting.filter(pk__lt=pk).order_by("-pk").values("pk")[:1]),
        "before": Subquery(waiting.filter(pk__gt=pk).order_by("pk").values("pk")[:1]),
    }
    names = {
        "crm_name": name_last_seen("sync_pass__crm__system", "crm_type", "crm_id"),
        "peer_name": name_last_seen("sync_pass__peer__system", "sync_pass__mapping__peer_object", "peer_id"),
    }
    case = get_object_or_404(Case.objects.select_related(*RELATED).annotate(**neighbours, **names), pk=pk, kind=KIND)
    tables = tables_of(case.sync_pass)
    rows = list(case.fields.order_by("pk"))
    asked = {user for row in rows for user in _users(row, tables.rule_of(row, case))}
    users = names_of_mailbox_users(asked) if case.sync_pass.is_of_mailboxes else names_in_pairs(case.sync_pass, asked)
    fields = [_field(row, case, tables, users) for row in rows]
    case.sentence = _why(case, [row for row in rows if row.state == ConflictField.State.OPEN])
    address = case.sync_pass.crm.page_address_template
    return render(
        request,
        "admin/reconciliation/conflict/detail.html",
        f"Conflict: {named(case.name, case.crm_id)}",
        case=case,
        names=tables.names,
        open_fields=[f for f in fields if f["row"].state == ConflictField.State.OPEN],
        closed_fields=[f for f in fields if f["row"].state != ConflictField.State.OPEN],
        losers=_losers(case),
        crm_name=case.crm_name or case.name,
        peer_name=case.peer_name or case.name,
        crm_url=address.replace("{object}", case.crm_type).replace("{id}", case.crm_id),
        present=present(case, request.user),
        colleagues=colleagues() if case.is_open else [],
        following=case.following,
        before=case.before,
    )


VALUES = {"crm_base": "crm", "peer_base": "peer", "crm_value": "crm", "peer_value": "peer"}


def _users(row: ConflictField, rule: FieldRule | None) -> set[str]:
    """Returns the ids of users that a field speaks of: who changed it, and its values where it is an owner."""
    values = [getattr(row, name) for name in VALUES] if rule is not None and rule.transform == USER_PAIR else []
    return {str(v) for v in (*values, row.crm_changed_by, row.peer_changed_by) if v}


def _field(row: ConflictField, case: Case, tables: Tables, users: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Returns one field as the page shows it; users by their names, where those are known."""
    rule = tables.rule_of(row, case)
    values = {name: getattr(row, name) for name in VALUES}
    if rule is not None and rule.transform == USER_PAIR:
        values = {name: users.get((VALUES[name], str(value))) or value for name, value in values.items()}
    is_open = row.state == ConflictField.State.OPEN
    return {
        "row": row,
        "title": crm_title(case.sync_pass.crm, case.crm_type, row.crm_field),
        "peer_title": peer_title(case.sync_pass, row.peer_field),
        **values,
        "crm_by": users.get(("crm", row.crm_changed_by)) or row.crm_changed_by,
        "peer_by": users.get(("peer", row.peer_changed_by)) or row.peer_changed_by,
        "offers": [offer(row, case, rule, take, tables) for take in ("crm", "peer")] if is_open else [],
        "seen": seen_of(row),
        "rule": rule,
    }


def _losers(case: Case) -> list[dict[str, Any]]:
    """Returns the values that gave way to a decision, with the writes that replaced them."""
    keys = sorted({pk for pks in case.decided.get("operations", {}).values() for pk in pks})
    if not keys:
        return []
    writes = Operation.objects.filter(pk__in=keys, state=Operation.State.CONFIRMED).select_related("connection").order_by("pk")
    return [
        {"operation": op, "field": name, "value": value, "after": op.after.get(name), "back_by": put_back_by(op, name)}
        for op in writes
        for name, value in losers_of(op).items()
    ]


@action(OPERATE)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Carries out what was chosen, then goes to the next case."""
    case = get_object_or_404(Case.objects.select_related("sync_pass__crm"), pk=pk, kind=KIND)
    reason = request.POST.get("reason", "").strip()[:1000]
    if request.POST.get("decision") == "later":
        chosen = whole_number(request.POST.get("assign_to", ""))
        colleague = colleagues().filter(pk=chosen).first() if chosen is not None else None
        conflict_later(case, request.user, reason, colleague)
        messages.success(request, f"“{case.name}” stays open {f'for {colleague} ' if colleague else ''}with your note.")
        return redirect("admin:conflict_list")
    done = conflict_decide(case, _choices(request, case), request.user, reason=reason, remember=request.POST.get("remember") == "1")
    messages.success(request, f"“{case.name}”: {', '.join(done.settled)} decided.")
    for sentence in done.remarks:
        messages.info(request, sentence)
    for sentence in done.refusals:
        messages.warning(request, sentence)
    if not done.is_closed:
        return redirect("admin:conflict_detail", case.pk)
    fresh = Case.objects.filter(kind=KIND, state=Case.State.OPEN, pk__lt=case.pk, note="", assigned_to=None)  # not what was put off
    following = fresh.order_by("-id").values_list("pk", flat=True).first()
    return redirect("admin:conflict_detail", following) if following else redirect("admin:conflict_list")


def _choices(request: HttpRequest, case: Case) -> dict[str, Choice]:
    """Returns what the form chose per field. Raises DecisionRefused for a value that cannot be."""
    all_of, choices = TAKES.get(request.POST.get("all", "")), {}
    kinds = (case.sync_pass.crm.schema_cache or {}).get(case.crm_type, {})
    for row in case.fields.order_by("pk"):
        seen = request.POST.get(f"seen-{row.pk}", "")
        if not seen:  # the page did not offer it: it was decided before, or came since
            continue
        take = all_of or TAKES.get(request.POST.get(f"take-{row.pk}", ""))
        if take is None or (all_of == "typed"):
            continue
        value = None
        if take == "typed":
            try:
                value = read_typed(request.POST.get(f"value-{row.pk}", ""), str(kinds.get(row.crm_field, {}).get("type", "text")))
            except CannotSettle as reason:
                raise DecisionRefused(f"{row.crm_field}: {reason} Nothing was done.") from None
            if value is None:
                raise DecisionRefused(f"Enter the other value of {row.crm_field}, or choose a side. Nothing was done.")
        choices[row.peer_field] = Choice(take, value, seen[:16])
    return choices


@action(OPERATE)
def here(request: HttpRequest, pk: int) -> JsonResponse:
    """Notes that this person has the case open and says who else has."""
    case = get_object_or_404(Case, pk=pk, kind=KIND)
    return JsonResponse({"other": sit_down(case, request.user)})


@action(OPERATE)
def refresh(request: HttpRequest) -> HttpResponse:
    """Looks at both sides of open conflicts again, as the hourly check does."""
    jobs.ask_for("refresh_conflicts", request.user.get_username())
    messages.success(
        request,
        "Open conflicts are being compared with both systems; those that agree by now close themselves. Mailboxes do so in their next run.",
    )
    return redirect("admin:conflict_list")


@page(OPERATE)
def bulk(request: HttpRequest) -> HttpResponse:
    """One field for many records: shows what will be written for each first, then carries out what was chosen as a job."""
    asked = request.POST if request.method == "POST" else request.GET
    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=asked.get("pass", "")[:40]).first()
    take, field = asked.get("take", ""), asked.get("field", "")[:120]
    if request.method == "POST":
        return _carry_out(request, sync_pass, take, field)
    rows = bulk_rows(sync_pass, field, TAKES[take]) if sync_pass is not None and field and take in ("crm", "peer") else []
    names = names_of(sync_pass) if sync_pass is not None else None
    if names is not None and sync_pass is not None and sync_pass.is_over_mailboxes:
        names = replace(names, peer="the mailbox")  # they may be of two mail systems
    return render(
        request,
        "admin/reconciliation/conflict/bulk.html",
        "Decide many conflicts at once",
        fields=open_conflict_fields(),
        sync_pass=sync_pass,
        field=field,
        field_title=peer_title(sync_pass, field) if sync_pass is not None else field,
        take=take,
        names=names,
        winner=(names.crm if take == "crm" else names.peer) if names else "",
        possible=[row for row in rows if not row.offer.refusal],
        refused=[row for row in rows if row.offer.refusal],
        most=MOST_AT_ONCE,
    )


def _carry_out(request: HttpRequest, sync_pass: SyncPass | None, take: str, field: str) -> HttpResponse:
    keys = [k for k in request.POST.getlist("key") if k.count("|") == 1 and whole_number(k.partition("|")[0]) is not None][:MOST_AT_ONCE]
    if not keys or sync_pass is None or take not in ("crm", "peer"):
        messages.warning(request, "Choose at least one conflict. Nothing was done.")
        return redirect("admin:conflict_bulk")
    reason = request.POST.get("reason", "").strip()[:1000]
    jobs.ask_for("settle_conflicts", sync_pass.name, keys, take, request.user.pk, reason)
    messages.success(
        request,
        f"{are(len(keys), 'conflict')} being decided; the run at the top of the list says what became of each.",
    )
    return redirect("admin:run_list")


@page(OPERATE)
def put_back(request: HttpRequest, pk: int) -> HttpResponse:
    """A value that gave way: first what putting it back will write, then doing it."""
    operation = get_object_or_404(Operation.objects.select_related(*OF_OPERATION), pk=pk)
    do = _put_back if request.method == "POST" else _show_put_back
    return or_told(request, reverse("admin:operation_detail", args=[operation.pk]), lambda: do(request, operation))


def _show_put_back(request: HttpRequest, operation: Operation) -> HttpResponse:
    field = request.GET.get("field", "")[:120]
    plan = loser_plan(operation, field)
    title = f"Put back what gave way: {named(operation.record_name, operation.target_id)}"
    return render(request, "admin/reconciliation/conflict/put_back.html", title, operation=operation, field=field, plan=plan)


def _put_back(request: HttpRequest, operation: Operation) -> HttpResponse:
    field = request.POST.get("field", "")[:120]
    loser_restore(operation, field, request.user, reason=request.POST.get("reason", "").strip()[:1000])
    messages.success(request, f"The earlier value of {field} is back in both systems.")
    return redirect("admin:operation_detail", operation.pk)
