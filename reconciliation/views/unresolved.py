"""Unknown people: addresses of shared items that Salesforce does not know, and what a person decides about each."""

from __future__ import annotations

from typing import Any

import django_filters
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.engine.linking_terms import settings_pass
from reconciliation.models import Mailbox, SyncPass, UnresolvedPerson
from reconciliation.roles import ADMINISTER, OPERATE
from reconciliation.selectors import bounded_count
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.unresolved import (
    KIND_WORDS,
    MOST_AT_ONCE,
    TAKE_BACK,
    Made,
    mark_companies,
    people_block,
    people_dismiss,
    people_found,
    people_make,
    people_take_back,
    person_link,
    unresolved_rows,
)
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render
from reconciliation.views.people_shared import chosen_rows, done_by_both, for_both, pages_of

State = UnresolvedPerson.State
COLUMNS = (
    Column("address", lambda p: p.address),
    Column("name", lambda p: p.name),
    Column("mailbox", lambda p: p.mailbox.address),
    Column("company by domain", lambda p: getattr(p, "company", "")),
    Column("state", lambda p: p.get_state_display()),
    Column("why", lambda p: p.reason),
    Column("items", lambda p: p.count),
    Column("last item", lambda p: p.items[-1].get("shown", "") if p.items else ""),
    Column("record", lambda p: p.crm_id),
    Column("first seen", lambda p: p.first_seen_at),
    Column("last seen", lambda p: p.last_seen_at),
    Column("decided by", lambda p: p.decided_by_name),
    Column("decided", lambda p: p.decided_at),
)
# What may be decided about many: value -> (button, sentence on the page that asks first, what it needs beside OPERATE).
MAKE = {f"make_{kind}": kind for kind in KIND_WORDS}
DECISIONS = {
    "make_lead": ("Make leads…", "A lead of Salesforce is made of each.", ""),
    "make_contact": ("Make contacts…", "A contact of Salesforce is made of each, with the account of its domain where there is one.", ""),
    "make_person_account": ("Make person accounts…", "A person account of Salesforce is made of each.", ""),
    "dismiss": ("Ignore…", "They leave this list; nobody is made of them. Nothing is written to Salesforce.", ""),
    "block": ("Block…", "They are blocked for the mailbox that met them: never searched, linked, or made.", ""),
    "block_domain": ("Block domains…", "The domains of these addresses are blocked for the mailbox that met them.", ""),
    "block_for_all": ("Block for all…", "They are blocked for every mailbox: never searched, linked, or made.", ADMINISTER),
    "take_back": ("Take back…", "What was ignored, blocked or linked waits here again.", ""),
}
OF_A_USER = ("dismiss", "block", "block_domain", "take_back")
STAYS = "What holds for every mailbox stays: {} may take it back."


class UnresolvedFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(
        method="by_state", choices=[("all", "All"), *State.choices], empty_label="Unknown", label="State", required=False
    )
    address = django_filters.CharFilter(method="by_address", label="Address holds")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")

    class Meta:
        model = UnresolvedPerson
        fields: list[Any] = []

    def filter_queryset(self, queryset: QuerySet[UnresolvedPerson]) -> QuerySet[UnresolvedPerson]:
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("state") else rows.filter(state=State.OPEN)

    def by_state(self, rows: QuerySet[UnresolvedPerson], name: str, value: str) -> QuerySet[UnresolvedPerson]:
        return rows if value == "all" else rows.filter(state=value)

    def by_address(self, rows: QuerySet[UnresolvedPerson], name: str, value: str) -> QuerySet[UnresolvedPerson]:
        return rows.filter(address__icontains=value.strip().lower())

    def by_mailbox(self, rows: QuerySet[UnresolvedPerson], name: str, value: str) -> QuerySet[UnresolvedPerson]:
        return rows.filter(mailbox__in=Mailbox.objects.filter(address__istartswith=value.strip()).values("pk"))


def _chosen(request: HttpRequest, mailbox: Mailbox | None = None) -> UnresolvedFilter:
    return UnresolvedFilter(request.GET, unresolved_rows(mailbox))


def _list(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    chosen = _chosen(request, mailbox)
    rows = paginate(request, chosen.qs)
    mark_companies(rows)
    return render(
        request,
        "admin/reconciliation/unresolved/list.html",
        f"Unknown people: {bounded_count(unresolved_rows(mailbox).filter(state=State.OPEN))}",
        filter=chosen,
        rows=rows,
        own=mailbox,
        pages=pages_of(mailbox),
        is_off=_is_off(),
        may_decide=mailbox is not None or request.user.has_perm(OPERATE),
        decisions=[(name, DECISIONS[name][0]) for name in _offered(request, mailbox)],
    )


show_list, show_mine = for_both(_list)


def _is_off() -> bool:
    """Tells whether nobody is made by itself."""
    row = SyncPass.objects.whole().filter(name="contacts").first()
    said = (settings_pass(row).settings.get("mailbox_settings") or {}) if row is not None else {}
    return (said.get("resolve_mode") or {}).get("value", "off") == "off"


def _offered(request: HttpRequest, mailbox: Mailbox | None) -> list[str]:
    if mailbox is not None:
        return list(OF_A_USER)
    return [name for name, (_, _, needs) in DECISIONS.items() if not needs or request.user.has_perm(needs)]


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "unknown-people", COLUMNS, _chosen(request).qs, prepare=mark_companies)


# --- deciding about many --------------------------------------------------------------------------------------------------


def _decide(request: HttpRequest, mailbox: Mailbox | None) -> HttpResponse:
    """Shows what a decision would do to the chosen addresses, then, confirmed, carries it out."""
    what = request.POST.get("do", "")[:40]
    if what not in DECISIONS:
        raise DecisionRefused("Choose what shall become of them. Nothing was done.")
    if what not in _offered(request, mailbox):
        raise PermissionDenied
    rows = chosen_rows(request, unresolved_rows(mailbox), MOST_AT_ONCE)
    if not rows:
        raise DecisionRefused("Choose at least one address. Nothing was done.")
    if len(rows) > MOST_AT_ONCE:
        raise DecisionRefused(f"At most {MOST_AT_ONCE} at once. Nothing was done.")
    if request.POST.get("confirmed") != "yes":
        return _ask(request, mailbox, what, rows)
    messages.success(request, _carry_out(request, mailbox, what, rows))
    return redirect(pages_of(mailbox)["unresolved_list"])


decide, decide_mine = done_by_both(_decide)


def _ask(request: HttpRequest, mailbox: Mailbox | None, what: str, rows: list[UnresolvedPerson]) -> HttpResponse:
    mark_companies(rows)
    button, sentence, _ = DECISIONS[what]
    title = f"{button.rstrip('…')}: {counted(len(rows), 'address', 'addresses')}"
    common = {"rows": rows, "what": what, "sentence": sentence, "own": mailbox, "pages": pages_of(mailbox)}
    return render(request, "admin/reconciliation/unresolved/confirm.html", title, **common, button=button.rstrip("…"))


def _carry_out(request: HttpRequest, mailbox: Mailbox | None, what: str, rows: list[UnresolvedPerson]) -> str:
    by: Any = request.user
    if what in MAKE:
        return _told(people_make(rows, MAKE[what], by))
    if what == "dismiss":
        return f"{counted(people_dismiss(rows, by), 'address is', 'addresses are')} ignored; filter by “Ignored” to take that back."
    if what == "take_back":
        return _taken_back(request, mailbox, rows)
    count = people_block(rows, by, is_for_all=what == "block_for_all", domains=what == "block_domain")
    return f"{counted(count, 'address is', 'addresses are')} blocked; filter by “Blocked” to take that back."


def _taken_back(request: HttpRequest, mailbox: Mailbox | None, rows: list[UnresolvedPerson]) -> str:
    """Takes decisions back, of those for every mailbox only what the person may have decided."""
    may_block = request.user.has_perm(ADMINISTER)
    of_all = () if mailbox is not None else TAKE_BACK if may_block else (State.LINKED,)
    count = people_take_back(rows, request.user, of_all=of_all)
    is_left = any(row.is_for_all and row.state in TAKE_BACK and row.state not in of_all for row in rows)
    if is_left and not count:
        raise DecisionRefused(f"{STAYS.format(_who_may(mailbox))} Nothing was done.")
    said = f"{counted(count, 'address waits', 'addresses wait')} again."
    return f"{said} {STAYS.format(_who_may(mailbox))}" if is_left else said


def _who_may(mailbox: Mailbox | None) -> str:
    return "those who look after this application" if mailbox is not None else "an admin"


def _told(done: list[Made]) -> str:
    new, found = sum(made.is_new for made in done), sum(bool(made.record_id) and not made.is_new for made in done)
    parts = [f"{counted(new, 'record was', 'records were')} made"]
    parts += [f"{counted(found, 'address', 'addresses')} found in Salesforce"] if found else []
    failed = [made for made in done if not made.record_id]
    said = "; ".join(f"{made.address}: {made.reason}" for made in failed[:5])
    parts += [f"of {counted(len(failed), 'address', 'addresses')} nothing was made ({said})"] if failed else []
    return f"{', '.join(parts)}."


# --- one address ----------------------------------------------------------------------------------------------------------


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One address: where it was seen, what it could become, and a search for the record it is."""
    row = get_object_or_404(unresolved_rows(), pk=pk)
    mark_companies([row])
    text, found, trouble = request.GET.get("q", "").strip()[:200], [], ""
    if text and request.user.has_perm(OPERATE):
        try:
            found = people_found(text)
        except ConnectorError as error:
            trouble = f"{error.sentence}. {error.remedy}"
    return render(
        request,
        "admin/reconciliation/unresolved/detail.html",
        f"Unknown person: {row.address}",
        row=row,
        pages=pages_of(None),
        text=text,
        found=found,
        trouble=trouble,
        said=[(name.replace("_", " "), value) for name, value in row.said.items()],
        decisions=[(name, DECISIONS[name][0]) for name in _offered(request, None) if (name == "take_back") is (row.state in TAKE_BACK)],
    )


@action(OPERATE)
def link(request: HttpRequest, pk: int) -> HttpResponse:
    """Says which record the address is."""
    row = get_object_or_404(unresolved_rows(), pk=pk)
    is_for_all = request.POST.get("for_all") == "yes"
    found = person_link(row, request.POST.get("record", "")[:18], request.user, is_for_all=is_for_all)
    whom = "every mailbox" if is_for_all else row.mailbox.address
    messages.success(request, f"{row.address} is {found.object_type} {found.name or found.id} from now on, for {whom}.")
    return redirect("admin:unresolved_list")
