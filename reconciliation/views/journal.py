"""The journal: every remote write, before and after."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from connectors.contract import Ref
from reconciliation.filters import passes_of_mailboxes
from reconciliation.models import Operation
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.selectors import name_writes, pass_named
from reconciliation.services.why import find
from reconciliation.templatetags.sync import named, said
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import page, paginate, render
from reconciliation.views.writes import field_rows, may_put_back, may_undo_fields


class JournalFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=Operation.State.choices, empty_label="Any state")
    kind = django_filters.ChoiceFilter(choices=Operation.Kind.choices, empty_label="Any kind")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")
    record = django_filters.CharFilter(method="by_record", label="Organisation: id or name")

    class Meta:
        model = Operation
        fields = ["state", "kind"]

    def by_mailbox(self, rows: QuerySet[Operation], name: str, value: str) -> QuerySet[Operation]:
        return rows.filter(run__sync_pass__in=passes_of_mailboxes(value))

    def by_record(self, rows: QuerySet[Operation], name: str, value: str) -> QuerySet[Operation]:
        """Writes made for an organisation, by its id, its reference, or the start of a name it has or had."""
        sync_pass = pass_named("organisations")
        if sync_pass is None:
            return rows.none()
        refs = [str(Ref(sync_pass.crm.system, ORGANISATION, id_)) for id_, _ in find(sync_pass, value)]
        return rows.filter(source_ref__in=refs)


COLUMNS = (
    Column("when", lambda o: o.intended_at),
    Column("what", lambda o: o.get_kind_display()),
    Column("system", lambda o: o.connection.name),
    Column("mailbox", lambda o: o.run.sync_pass.mailbox_address),
    Column("organisation", lambda o: o.record_name),
    Column("record", lambda o: o.source_ref),
    Column("written", lambda o: f"{o.object_type} {o.target_id}".strip()),
    Column("state", lambda o: o.get_state_display()),
    Column("before", lambda o: said(o.before)),
    Column("after", lambda o: said(o.after)),
    Column("reason", lambda o: o.origin.get("reason") or o.reason),
    Column("run", lambda o: o.run_id),
    Column("by", lambda o: o.origin.get("staff") or o.run.started_by),
    Column("taken back", lambda o: o.undone_at),
    Column("error", lambda o: o.error),
)


def _chosen(request: HttpRequest) -> JournalFilter:
    return JournalFilter(request.GET, Operation.objects.select_related("connection", "run__sync_pass__mailbox").order_by("-id"))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "journal", COLUMNS, _chosen(request).qs)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _chosen(request)
    rows = paginate(request, chosen.qs)
    name_writes(rows)
    return render(request, "admin/reconciliation/journal/list.html", "Journal", filter=chosen, rows=rows)


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One write: what was there, what came, who and why, with the request and its answer."""
    operation = get_object_or_404(Operation.objects.select_related("connection", "run__sync_pass__mailbox"), pk=pk)
    name_writes([operation])
    title = f"{operation.get_kind_display()}: {named(operation.record_name or operation.source_ref, operation.source_ref)}"
    return render(
        request,
        "admin/reconciliation/journal/detail.html",
        title,
        operation=operation,
        fields=field_rows(operation),
        can_undo=may_undo_fields(operation, request.user),
        can_put_back=may_put_back(operation, request.user),
        run_id=operation.run_id,
    )
