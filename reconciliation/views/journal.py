"""The journal: every remote write, before and after."""

from __future__ import annotations

import django_filters
from django.http import HttpRequest, HttpResponse

from reconciliation.models import Operation
from reconciliation.views.page import page, paginate, render


class JournalFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=Operation.State.choices, empty_label="Any state")
    kind = django_filters.ChoiceFilter(choices=Operation.Kind.choices, empty_label="Any kind")
    source_ref = django_filters.CharFilter(lookup_expr="exact", label="Record, e.g. workbooks:organisation:226")

    class Meta:
        model = Operation
        fields = ["state", "kind"]


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = JournalFilter(request.GET, Operation.objects.select_related("connection", "run").order_by("-id"))
    return render(request, "admin/reconciliation/journal/list.html", "Journal", filter=chosen, rows=paginate(request, chosen.qs))
