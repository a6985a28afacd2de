"""Adding mailboxes: from the directory of the mail system, from a file, or by their addresses."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.models import Connection, MailboxGroup
from reconciliation.roles import ADMINISTER
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.mailbox_directory import Person, directory_read, mailboxes_add, strangers_among
from reconciliation.services.mailbox_first import how_it_begins
from reconciliation.services.mailbox_import import carry_out, read, text_of
from reconciliation.services.mailbox_states import Done
from reconciliation.services.mailboxes import MAIL_SYSTEMS, MailboxRefused
from reconciliation.views.page import action, page, render, whole_number

WAYS = {"directory": "From the directory", "file": "From a file", "addresses": "By address"}
MOST_SHOWN = 200
MOST_LINES = 1000
LARGEST_FILE = 1_000_000  # bytes
TEMPLATE = "admin/reconciliation/mailbox/add.html"


@page(ADMINISTER)
def show(request: HttpRequest) -> HttpResponse:
    connections = list(Connection.objects.filter(system__in=MAIL_SYSTEMS).order_by("name"))
    if not connections:
        messages.info(request, "Connect Microsoft 365 or Google first.")
        return redirect("admin:mailbox_list")
    chosen = _connection(request.GET.get("connection", "")) or connections[0]
    by = request.GET.get("by", "")
    by = by if by in WAYS else "directory"
    said = _people(request, chosen) if by == "directory" and "connection" in request.GET else {}
    return _form(request, connections, chosen, by, **said)


def _form(request: HttpRequest, connections: list[Connection], chosen: Connection, by: str, **said: Any) -> HttpResponse:
    groups = list(MailboxGroup.objects.order_by("name"))
    known = {"connections": connections, "connection": chosen, "ways": WAYS, "by": by, "groups": groups, "most": MOST_LINES}
    return render(request, TEMPLATE, "Add mailboxes", **known, **said)


def _connection(text: str) -> Connection | None:
    return Connection.objects.filter(pk=whole_number(text) or 0, system__in=MAIL_SYSTEMS).first()


def _group(request: HttpRequest) -> MailboxGroup | None:
    return MailboxGroup.objects.filter(pk=whole_number(request.POST.get("group", "")) or 0).first()


def _people(request: HttpRequest, connection: Connection) -> dict[str, Any]:
    """Reads the directory; those that are mailboxes already are left out."""
    text = request.GET.get("q", "").strip().casefold()[:200]
    try:
        found = directory_read(connection)
    except (ConnectorError, MailboxRefused) as error:
        sentence = f"{error.sentence}. {error.remedy}" if isinstance(error, ConnectorError) else str(error)
        return {"trouble": f"The directory could not be read: {sentence}", "q": text}
    new = [p for p in found.people if p.mailbox is None]
    people = [p for p in new if _matches(p, text)]
    return {
        "was_read": True,
        "people": people[:MOST_SHOWN],
        "more": max(0, len(people) - MOST_SHOWN),
        "known": len(found.people) - len(new),
        "is_cut": found.is_cut,
        "q": text,
    }


def _matches(person: Person, text: str) -> bool:
    return not text or text in person.address.casefold() or text in person.name.casefold()


@action(ADMINISTER)
def add(request: HttpRequest) -> HttpResponse:
    """Adds the chosen people of the directory, or the addresses that were typed."""
    connection = _connection(request.POST.get("connection", ""))
    typed = request.POST.get("addresses", "").replace(",", "\n").replace(";", "\n").splitlines()
    addresses = [text.strip() for text in [*request.POST.getlist("chosen"), *typed] if text.strip()]
    if connection is None or not addresses:
        raise DecisionRefused("Choose at least one mailbox, or enter an address. Nothing was added.")
    if len(addresses) > MOST_LINES:
        raise DecisionRefused(f"At most {MOST_LINES:,} addresses at once; put more into a file. Nothing was added.")
    done = mailboxes_add(connection, addresses, request.user, _group(request))
    if done.changed and typed:
        _tell_strangers(request, connection, typed)
    return _told(request, done, connection)


def _tell_strangers(request: HttpRequest, connection: Connection, typed: list[str]) -> None:
    unknown = sorted(strangers_among(connection, (text for text in typed if text.strip())))
    for address in unknown[:5]:
        messages.warning(request, f"Nobody has the address {address} in the directory of {connection}; look whether it is spelt right.")


def _told(request: HttpRequest, done: Done, connection: Connection) -> HttpResponse:
    if done.changed:
        added = f"{counted(done.changed, 'mailbox is', 'mailboxes are')} added."
        messages.success(request, f"{added} {how_it_begins(connection)}")
    for sentence in done.refused[:5]:
        messages.warning(request, f"Not added: {sentence}")
    if len(done.refused) > 5:
        messages.warning(request, f"{len(done.refused) - 5} more were not added.")
    return redirect(f"{reverse('admin:mailbox_list')}?state=new")


@action(ADMINISTER)
def preview_file(request: HttpRequest) -> HttpResponse:
    """Shows what a file would do, line by line; nothing is added yet."""
    connection, file = _connection(request.POST.get("connection", "")), request.FILES.get("file")
    if connection is None or file is None:
        raise DecisionRefused("Choose a file first.")
    if file.size > LARGEST_FILE:
        raise DecisionRefused(f"The file is larger than {LARGEST_FILE // 1_000_000} MB. Nothing was read of it.")
    content = file.read()
    plan = read(content, connection)
    if plan.errors:
        raise DecisionRefused(f"{plan.errors[0]} Nothing was added.")
    connections = list(Connection.objects.filter(system__in=MAIL_SYSTEMS).order_by("name"))
    plan = plan.noting(strangers_among(connection, (row.address for row in plan.rows if row.will)))
    lines = sorted(plan.rows, key=lambda row: (not row.error, not row.note))[:MOST_SHOWN]  # what is left out is seen first
    return _form(request, connections, connection, "file", plan=plan, lines=lines, file=file.name, text=text_of(content))


@action(ADMINISTER)
def add_file(request: HttpRequest) -> HttpResponse:
    """Adds what the file named, as it was shown."""
    connection = _connection(request.POST.get("connection", ""))
    if connection is None:
        raise DecisionRefused("That connection is gone. Nothing was added.")
    return _told(request, carry_out(read(request.POST.get("content", ""), connection), connection, request.user), connection)
