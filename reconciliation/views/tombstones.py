"""What was deleted, and restoring it: what cannot come back is said first."""

from __future__ import annotations

import django_filters
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.errors import ConnectorError
from reconciliation import jobs
from reconciliation.filters import of_mailboxes, of_pass
from reconciliation.models import SyncPass, Tombstone
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count
from reconciliation.services.restore import RestorePlan, restore, restore_plan
from reconciliation.templatetags.sync import named
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render

COLUMNS = (
    Column("record", lambda t: t.name),
    Column("type", lambda t: t.crm_type),
    Column("mailbox", lambda t: t.sync_pass.mailbox_address),
    Column("CRM id", lambda t: t.crm_id),
    Column("Outreach id", lambda t: t.peer_id),
    Column("what was deleted", lambda t: t.get_why_display()),
    Column("by", lambda t: t.deleted_by),
    Column("when", lambda t: t.deleted_at or t.found_at),
    Column("learnt", lambda t: t.found_at),
    Column("run", lambda t: t.run_id),
    Column("restored", lambda t: t.restored_at),
    Column("restored by", lambda t: t.restored_by),
    Column("restored as", lambda t: t.restored_as),
)


class TombstoneFilter(django_filters.FilterSet):
    why = django_filters.ChoiceFilter(choices=Tombstone.Why.choices, empty_label="Anything", label="What was deleted")
    restored = django_filters.ChoiceFilter(
        method="by_restored", choices=[("no", "Not restored"), ("yes", "Restored")], empty_label="Either", label="Restored"
    )

    sync_pass = django_filters.ModelChoiceFilter(
        queryset=SyncPass.objects.whole().order_by("pk"), method="by_pass", empty_label="Any pass", label="Pass"
    )
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")

    class Meta:
        model = Tombstone
        fields = ["why"]

    def filter_queryset(self, queryset: QuerySet[Tombstone]) -> QuerySet[Tombstone]:
        """What a mailbox's user deleted and the pass made again is deleted nowhere: it is listed where it is asked for."""
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("why") else rows.exclude(why=Tombstone.Why.MADE_AGAIN)

    def by_pass(self, rows: QuerySet[Tombstone], name: str, value: SyncPass) -> QuerySet[Tombstone]:
        return of_pass(rows, value.pk) if value.children.exists() else rows.filter(sync_pass=value)

    def by_mailbox(self, rows: QuerySet[Tombstone], name: str, value: str) -> QuerySet[Tombstone]:
        return of_mailboxes(rows, value)

    def by_restored(self, rows: QuerySet[Tombstone], name: str, value: str) -> QuerySet[Tombstone]:
        return rows.filter(restored_at__isnull=value == "no")


def _rows() -> QuerySet[Tombstone]:
    return Tombstone.objects.select_related(
        "sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "sync_pass__mailbox", "run", "binding"
    )


def _chosen(request: HttpRequest) -> TombstoneFilter:
    return TombstoneFilter(request.GET, _rows().order_by("-id"))


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "deleted", COLUMNS, _chosen(request).qs)


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = _chosen(request)
    title = f"Deleted: {bounded_count(chosen.qs)}"
    return render(request, "admin/reconciliation/record/tombstones.html", title, filter=chosen, rows=paginate(request, chosen.qs))


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One deletion, with its last values and what restoring would do now."""
    stone = get_object_or_404(_rows(), pk=pk)
    plan, trouble = RestorePlan(), ""
    if request.user.has_perm(OPERATE):
        try:
            plan = restore_plan(stone)
        except ConnectorError as error:
            trouble = f"{error.sentence}. {error.remedy}"
    title = f"Deleted: {named(stone.name or stone.crm_id, stone.crm_id)}"
    return render(request, "admin/reconciliation/record/restore.html", title, t=stone, plan=plan, trouble=trouble)


@action(OPERATE)
def carry_out(request: HttpRequest, pk: int) -> HttpResponse:
    stone = get_object_or_404(_rows(), pk=pk)
    said = restore(stone, request.user, reason=request.POST.get("reason", "").strip()[:1000])
    jobs.nudge(stone.sync_pass.name, request.user.get_username())
    messages.success(request, said)
    return redirect("admin:tombstone_detail", pk)
