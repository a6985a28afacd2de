"""Filter bars of our own list pages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import django_filters
from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from connectors.mailboxes import CONTACT
from reconciliation.core.values import normalise_name
from reconciliation.field_titles import OF_PASSES, mail_title
from reconciliation.models import Binding, Case, ConflictField, Import, ImportRow, RecordType, Run, RunEvent, SearchKey, SyncPass
from reconciliation.models.prefix import starts_with
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.selectors import bounded_count, prospect_marks, runs_of_passes
from reconciliation.services.case_desk import colleagues


class RunFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=Run.State.choices, empty_label="Any state")
    kind = django_filters.ChoiceFilter(choices=Run.Kind.choices, empty_label="Any kind")
    since = django_filters.DateFilter(
        field_name="started_at", lookup_expr="date__gte", label="Since", widget=forms.DateInput(attrs={"type": "date"})
    )
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")
    of = django_filters.ChoiceFilter(
        method="by_kind", choices=[("mailboxes", "Of each mailbox")], empty_label="Of passes, mailboxes summed", label="Which"
    )

    def by_mailbox(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return of_mailboxes(rows, value)

    def by_kind(self, rows: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        return rows.filter(sync_pass__mailbox__isnull=False)

    @property
    def is_summed(self) -> bool:
        """Whether runs over mailboxes are left out, and shown as a sum."""
        return not self.data.get("of") and not self.data.get("mailbox")

    def filter_queryset(self, queryset: QuerySet[Run]) -> QuerySet[Run]:
        rows = super().filter_queryset(queryset)
        return runs_of_passes(rows) if self.is_summed else rows

    class Meta:
        model = Run
        fields = ["state", "kind"]


class EventFilter(django_filters.FilterSet):
    outcome = django_filters.ChoiceFilter(choices=RunEvent.Outcome.choices, empty_label="Any outcome")
    reason = django_filters.ChoiceFilter(choices=[], empty_label="Any reason")
    name = django_filters.CharFilter(method="by_name", label="Name starts with, or id")

    class Meta:
        model = RunEvent
        fields = ["outcome"]

    def __init__(self, data: Any, queryset: QuerySet[RunEvent], reasons: list[tuple[str, str]] | None = None) -> None:
        super().__init__(data, queryset)
        self.filters["reason"].extra["choices"] = reasons or [(data.get("reason", ""), data.get("reason", ""))]

    def by_name(self, rows: QuerySet[RunEvent], name: str, value: str) -> QuerySet[RunEvent]:
        named = starts_with("name_key", normalise_name(value))
        if value.isascii() and value.isdigit():
            return rows.filter(named | Q(crm_ref=f"workbooks:organisation:{value}"))
        return rows.filter(named)


DUPLICATE_REASONS = {
    "name_match": "An account has this name",
    "bound_elsewhere": "Its account is linked elsewhere",
    "id_blanked": "Its Outreach Id was blanked",
    "other_id": "Another Outreach Id was found",
    "marker_twice": "Several accounts carry our key",
}
ERROR_REASONS = {
    "refused": "Refused by Outreach",
    "refused_crm": "Refused by Salesforce",
    "duplicate_rule": "Taken for a duplicate by Salesforce",
    "excluded": "An excluded e-mail address",
    "pointer": "The pointer could not be written",
    "value_refused": "A value that cannot be sent",
    "account_gone": "The account is gone",
    "write_back_refused": "Id and URL could not be written back",
    "write_back_late": "Id and URL still to be written back",
    "people_refused": "A prospect could not be moved",
    "held_elsewhere": "It belongs to another record already",
    "alone": "Failed alone while others went through",
    "internal": "Could not be worked out",
    "no_right": "The mailbox's user may not do it",
    "not_visible": "Its CRM record cannot be seen",
    "tasks_refused": "Salesforce takes no Tasks",
}


ERROR_REMEDIES = {
    "refused": "Correct the values in {crm}, then retry.",
    "refused_crm": "Correct the values in Outreach or Salesforce, then retry.",
    "duplicate_rule": "Link one of the records named in the case, or merge them, then retry.",
    "excluded": "Change the excluded addresses in Outreach, or leave these people out.",
    "pointer": "See in the case what Outreach says, mend it there, then retry.",
    "value_refused": "Correct the value in {crm}, then retry.",
    "account_gone": "Open each case: create the account again, link another, or stop syncing.",
    "write_back_refused": "See in the case what Workbooks says, mend it there, then retry.",
    "write_back_late": "Nothing to do: written as soon as Workbooks answers.",
    "people_refused": "Correct the prospect in Outreach, then retry.",
    "held_elsewhere": "Find matches in the case shows both.",
    "alone": "Look at the values of each record, then retry.",
    "internal": "Send the case to support, then retry.",
    "no_right": "Give the user the right in {crm}, then retry, or take the edit back in the mailbox.",
    "tasks_refused": "See in the case which field or rule it is, mend it there; the activities follow by themselves.",
    "not_visible": "Let our user see the record in {crm}; where it is gone for good, delete its counterpart, too.",
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

    @property
    def heading(self) -> str:
        """What the list shows, in words: "94 open", "12 resolved with this filter"."""
        state = dict(Case.State.choices).get(self.data.get("state", ""), "in any state").lower()
        more = any(self.data.get(name) for name in self.filters if name != "state")
        return f"{bounded_count(self.qs)} {state}{' with this filter' if more else ''}"


class DuplicateFilter(CaseFilter):
    reason = django_filters.ChoiceFilter(choices=list(DUPLICATE_REASONS.items()), empty_label="Any reason")


def of_pass(rows: QuerySet[Any], pk: Any) -> QuerySet[Any]:
    """Returns the rows of a pass; of one over mailboxes those of all its mailboxes."""
    return rows.filter(sync_pass__in=SyncPass.objects.filter(Q(pk=pk) | Q(parent=pk)))


def of_mailboxes(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Returns the rows of mailboxes whose address begins so, whatever the case of its letters."""
    return rows.filter(sync_pass__in=passes_of_mailboxes(text))


def passes_of_mailboxes(text: str) -> QuerySet[SyncPass]:
    return SyncPass.objects.filter(mailbox__address__istartswith=text.strip()[:254])


class ContactQuestionFilter(CaseFilter):
    kind = django_filters.ChoiceFilter(
        choices=[(Case.Kind.DELETION, "What shall become of it?"), (Case.Kind.EXISTS, "Is it this contact?")],
        empty_label="Any question",
        label="Question",
    )
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")

    def by_mailbox(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return of_mailboxes(rows, value)


class ErrorFilter(CaseFilter):
    reason = django_filters.ChoiceFilter(choices=list(ERROR_REASONS.items()), empty_label="Any reason")
    sync_pass = django_filters.ChoiceFilter(method="by_pass", choices=[], empty_label="Any pass", label="Pass")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")

    def by_pass(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return of_pass(rows, value)

    def by_mailbox(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return of_mailboxes(rows, value)

    def __init__(self, data: Any, queryset: QuerySet[Case], passes: Iterable[SyncPass] = ()) -> None:
        super().__init__(data, queryset)
        self.passes = {row.pk: row for row in passes}
        self.filters["sync_pass"].extra["choices"] = [(pk, row.title) for pk, row in self.passes.items()]


AGES = {"1": "More than a day", "7": "More than a week", "30": "More than a month"}
MOST_ROWS = 2_000  # of all mappings together
MOST_FOUND = 200  # by an e-mail address or a former name


def _field_choices(mapped: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the fields of other systems by their titles; one that two systems have under one name bears both."""
    titles: dict[str, set[str]] = {}
    for pass_name, field in mapped:
        titles.setdefault(field, set()).add(mail_title(field, OF_PASSES.get(pass_name, CONTACT)) if pass_name in MAILBOX_PASSES else field)
    return sorted(((field, " / ".join(sorted(some))) for field, some in titles.items()), key=lambda it: it[1].casefold())


class ConflictFilter(CaseFilter):
    field = django_filters.ChoiceFilter(method="by_field", choices=[], empty_label="Any field", label="Field in the other system")
    sync_pass = django_filters.ChoiceFilter(method="by_pass", choices=[], empty_label="Any pass", label="Pass")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")
    age = django_filters.ChoiceFilter(method="by_age", choices=list(AGES.items()), empty_label="Any age", label="Open for")

    def __init__(self, data: Any, queryset: QuerySet[Case]) -> None:
        super().__init__(data, queryset)
        names = ("sync_pass_id", "sync_pass__title", "sync_pass__name", "mapping__rules__peer_field")
        mapped = list(RecordType.objects.order_by("pk").values_list(*names)[:MOST_ROWS])
        self.filters["sync_pass"].extra["choices"] = list(dict.fromkeys((pk, title) for pk, title, *_ in mapped))
        self.filters["field"].extra["choices"] = _field_choices((pass_name, field) for *_, pass_name, field in mapped if field)

    def by_pass(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return of_pass(rows, value)

    def by_mailbox(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return of_mailboxes(rows, value)

    def by_field(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        fields = ConflictField.objects.filter(peer_field=value)
        if self.data.get("state") == Case.State.OPEN:
            fields = fields.filter(state=ConflictField.State.OPEN)
        return rows.filter(pk__in=fields.values("case"))

    def by_age(self, rows: QuerySet[Case], name: str, value: str) -> QuerySet[Case]:
        return rows.filter(opened_at__lt=timezone.now() - timedelta(days=int(value)))


class ImportFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=Import.State.choices, empty_label="Any state")
    source = django_filters.ChoiceFilter(choices=Import.Source.choices, empty_label="Any way")
    failed = django_filters.ChoiceFilter(
        method="by_failed", choices=[("yes", "With failed rows")], empty_label="Any outcome", label="Outcome"
    )

    def by_failed(self, rows: QuerySet[Import], name: str, value: str) -> QuerySet[Import]:
        return rows.filter(Exists(ImportRow.objects.filter(batch=OuterRef("pk"), state=ImportRow.State.FAILED)))

    class Meta:
        model = Import
        fields = ["state", "source"]


class ImportRowFilter(django_filters.FilterSet):
    """Rows of one import: few enough to look into their texts."""

    state = django_filters.ChoiceFilter(choices=ImportRow.State.choices, empty_label="Any outcome", label="Outcome")
    reason = django_filters.ChoiceFilter(choices=ImportRow.Reason.choices, empty_label="Any reason")
    name = django_filters.CharFilter(method="by_text", label="Name, e-mail or id has")

    class Meta:
        model = ImportRow
        fields = ["state", "reason"]

    def by_text(self, rows: QuerySet[ImportRow], name: str, value: str) -> QuerySet[ImportRow]:
        return rows.filter(
            Q(given__icontains=value) | Q(name__icontains=value) | Q(email__icontains=value) | Q(crm_id=value) | Q(peer_id=value)
        )


PROSPECT_STATES = {
    "linked": "Linked",
    "asked": "Waits for a choice",
    "conflict": "In conflict",
    "differs": "Fields differ",
    "owed": "Pointer still to be written",
    "ended": "Not linked any more",
}


class ProspectFilter(django_filters.FilterSet):
    """Prospects by the state of their link; one search over names, ids and e-mail addresses."""

    q = django_filters.CharFilter(method="by_text", label="Name, e-mail or id")
    state = django_filters.ChoiceFilter(method="by_state", choices=list(PROSPECT_STATES.items()), empty_label="Any state", label="State")
    crm_type = django_filters.ChoiceFilter(choices=[("Contact", "Contact"), ("Lead", "Lead")], empty_label="Any type", label="Type")

    class Meta:
        model = Binding
        fields = ["q", "state", "crm_type"]

    def by_text(self, rows: QuerySet[Binding], name: str, value: str) -> QuerySet[Binding]:
        key = normalise_name(value)[:255]
        bearing = SearchKey.objects.filter(starts_with("key", key), sync_pass__name="prospects").values_list("ref", flat=True)[:MOST_FOUND]
        ids = {ref.rpartition(":")[2] for ref in bearing} if len(key) > 1 else set()
        return rows.filter(starts_with("name_key", key) | Q(peer_id=value) | Q(crm_id=value) | Q(peer_id__in=ids) | Q(crm_id__in=ids))

    def by_state(self, rows: QuerySet[Binding], name: str, value: str) -> QuerySet[Binding]:
        if value == "ended":
            return rows.filter(is_tombstone=True)
        marks = prospect_marks()
        standing = {"asked": marks["is_asked"], "conflict": marks["is_in_conflict"], "differs": marks["is_different"]}
        rows = rows.filter(is_tombstone=False)
        return rows.filter(standing[value]) if value in standing else rows.filter(is_write_back_due=True) if value == "owed" else rows
