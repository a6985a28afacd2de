"""Activities of Outreach that are not in Salesforce: what waits for a link, what was refused, and since when they are carried."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import django_filters
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_date

from reconciliation import jobs
from reconciliation.defaults.activities import ACTIVITIES_PASS
from reconciliation.engine import activity_terms
from reconciliation.models import Activity, SyncPass
from reconciliation.passes.activities import TYPES
from reconciliation.roles import ADMINISTER
from reconciliation.selectors import bounded_count, pass_named
from reconciliation.services.activities import OPEN, activities_begin_from, open_activities
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.templatetags.sync import in_words
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render

TYPE_WORDS = {"task": "Task", "mailing": "Mail", "call": "Call"}
REASONS = ("waits_for_link", "person_gone", "in_doubt", "other_writer", "alone", "mapping", "refused_crm", "retry")
COLUMNS = (
    Column("type", lambda a: TYPE_WORDS.get(a.object_type, a.object_type)),
    Column("Outreach id", lambda a: a.activity_id),
    Column("what", lambda a: a.name),
    Column("state", lambda a: a.get_state_display()),
    Column("reason", lambda a: in_words(a.reason)),
    Column("why", lambda a: a.sentence),
    Column("prospect", lambda a: a.prospect_id),
    Column("since", lambda a: a.since),
    Column("looked at next", lambda a: a.due_at),
)


class ActivityFilter(django_filters.FilterSet):
    object_type = django_filters.ChoiceFilter(choices=[(t, TYPE_WORDS[t]) for t in TYPES], empty_label="Any type", label="Type")
    state = django_filters.ChoiceFilter(choices=[(s.value, s.label) for s in OPEN], empty_label="Waiting and refused", label="State")
    reason = django_filters.ChoiceFilter(choices=[(r, in_words(r)) for r in REASONS], empty_label="Any reason", label="Reason")
    prospect_id = django_filters.CharFilter(label="Prospect's id")

    class Meta:
        model = Activity
        fields: list[Any] = []


def _chosen(request: HttpRequest, sync_pass: SyncPass | None) -> ActivityFilter:
    return ActivityFilter(request.GET, open_activities(sync_pass) if sync_pass is not None else Activity.objects.none())


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    sync_pass = pass_named(ACTIVITIES_PASS)
    chosen = _chosen(request, sync_pass)
    carried = Activity.objects.filter(sync_pass=sync_pass, state=Activity.State.CARRIED) if sync_pass is not None else chosen.qs
    return render(
        request,
        "admin/reconciliation/activity/list.html",
        f"Activities not in the CRM: {bounded_count(chosen.qs)}",
        sync_pass=sync_pass,
        begins_at=activity_terms.begins_at(sync_pass) if sync_pass is not None else None,
        is_chosen=sync_pass is not None and activity_terms.is_chosen(sync_pass),
        carried=bounded_count(carried),
        type_words=TYPE_WORDS,
        filter=chosen,
        rows=paginate(request, chosen.qs),
    )


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "activities", COLUMNS, _chosen(request, pass_named(ACTIVITIES_PASS)).qs)


@action(ADMINISTER)
def begin(request: HttpRequest) -> HttpResponse:
    """Says since when activities are carried."""
    sync_pass = pass_named(ACTIVITIES_PASS)
    if sync_pass is None:
        raise DecisionRefused("There is no pass over activities yet. Nothing was saved.")
    try:
        day = parse_date(request.POST.get("day", ""))
    except ValueError:
        day = None
    if day is None:
        raise DecisionRefused("Choose a day. Nothing was saved.")
    at = timezone.make_aware(datetime.combine(day, datetime.min.time()))
    activities_begin_from(sync_pass, at, request.user)
    if sync_pass.is_on:
        jobs.nudge(sync_pass.name, request.user.get_username())
    what = "the next run takes up what was left out, and makes nothing twice"
    messages.success(request, f"Activities are carried from {day:%Y-%m-%d} on; {what}.")
    return redirect("admin:activity_list")
