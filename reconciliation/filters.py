"""Filter bars of our own list pages."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet

from reconciliation.core.values import normalise_name
from reconciliation.models import Case, Run, RunEvent
from reconciliation.models.prefix import starts_with
from reconciliation.services.case_desk import colleagues


class RunFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=Run.State.choices, empty_label="Any state")
    kind = django_filters.ChoiceFilter(choices=Run.Kind.choices, empty_label="Any kind")
    since = django_filters.DateFilter(
        field_name="started_at", lookup_expr="date__gte", label="Since", widget=forms.DateInput(attrs={"type": "date"})
    )

    class Meta:
        model = Run
        fields = ["state", "kind"]


class EventFilter(django_filters.FilterSet):
    outcome = django_filters.ChoiceFilter(choices=RunEvent.Outcome.choices, empty_label="Any outcome")
    name = django_filters.CharFilter(method="by_name", label="Name starts with")

    class Meta:
        model = RunEvent
        fields = ["outcome"]

    def by_name(self, rows: QuerySet[RunEvent], name: str, value: str) -> QuerySet[RunEvent]:
        return rows.filter(starts_with("name_key", normalise_name(value)))


DUPLICATE_REASONS = {
    "name_match": "An account has this name",
    "bound_elsewhere": "Its account is linked elsewhere",
    "id_blanked": "Its Outreach Id was blanked",
    "other_id": "Another Outreach Id was found",
    "marker_twice": "Several accounts carry our key",
}
ERROR_REASONS = {
    "refused": "Refused by Outreach",
    "value_refused": "A value that cannot be sent",
    "account_gone": "The account is gone",
    "write_back_refused": "Id and URL could not be written back",
    "write_back_late": "Id and URL still to be written back",
    "people_refused": "A prospect could not be moved",
    "alone": "Failed alone while others went through",
    "internal": "Could not be worked out",
}


class CaseFilter(django_filters.FilterSet):
    """What both queues share; each names its own reasons."""

    state = django_filters.ChoiceFilter(choices=Case.State.choices, empty_label="Any state")
    name = django_filters.CharFilter(method="by_name", label="Name starts with")

    assigned_to = django_filters.ModelChoiceFilter(queryset=lambda request: colleagues(), empty_label="Anybody", label="Given to")

    class Meta:
        model = Case
        fields = ["state"]

    def by_name(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return rows.filter(starts_with("name_key", normalise_name(value)))

    def __init__(self, data: Any, queryset: QuerySet[Case]) -> None:
        data = data.copy()
        data.setdefault("state", Case.State.OPEN)
        super().__init__(data, queryset)


class DuplicateFilter(CaseFilter):
    reason = django_filters.ChoiceFilter(choices=list(DUPLICATE_REASONS.items()), empty_label="Any reason")


class ErrorFilter(CaseFilter):
    reason = django_filters.ChoiceFilter(choices=list(ERROR_REASONS.items()), empty_label="Any reason")
