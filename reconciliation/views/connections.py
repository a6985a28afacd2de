"""Connections: how each system is, a test that names what is missing, adding one, and connecting by OAuth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from connectors.outreach.scopes import SCOPES as OUTREACH_SCOPES
from connectors.salesforce.scopes import SCOPES as SALESFORCE_SCOPES
from reconciliation.core.counting import bent, counted
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection
from reconciliation.roles import ADMINISTER
from reconciliation.selectors import near_expiries
from reconciliation.services.admin_consent import admin_consent_begin, admin_consent_finish
from reconciliation.services.audit import audit
from reconciliation.services.connections import (
    DEFAULTS,
    LOGIN_DEFAULTS,
    SECRETS,
    SETTLE_SECONDS,
    ConnectionChange,
    ConnectionRefused,
    connection_add,
    connection_save,
    connection_test,
)
from reconciliation.services.mail_systems import MailChange
from reconciliation.services.oauth import ADMIN_CONSENT, ConnectRefused, connect_begin, connect_finish
from reconciliation.services.salesforce import SalesforceChange
from reconciliation.services.webhooks import hooks_state
from reconciliation.views import mail_form, salesforce_form
from reconciliation.views.led_away import answer_of, brought_back, led_away, redirect_uris
from reconciliation.views.page import action, page, render, whole_number

SCOPES = {"outreach": OUTREACH_SCOPES, "salesforce": SALESFORCE_SCOPES}


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in the form: a connection as it is, or what was typed for a new one."""

    name: str = ""
    base_url: str = ""
    login_url: str = ""
    page_address_template: str = ""
    settle_seconds: int = 0
    secret_expires_on: Any = None
    database_id: str = ""
    allows_tls_12: bool = False
    allows_private: bool = False
    salesforce: SalesforceChange = SalesforceChange()
    mail: MailChange | None = None


@page(ADMINISTER)
def show_list(request: HttpRequest) -> HttpResponse:
    rows = list(Connection.objects.order_by("pk"))
    now = timezone.now()
    return render(
        request,
        "admin/reconciliation/connection/list.html",
        "Connections",
        rows=[(row, row.expiries(now)) for row in rows],
        expiring=near_expiries(rows),
        absent=[(value, label) for value, label in Connection.System.choices if value not in {row.system for row in rows}],
    )


@page(ADMINISTER)
def add(request: HttpRequest, system: str) -> HttpResponse:
    if system not in SECRETS:
        raise Http404
    label = Connection.System(system).label
    if request.method == "POST":
        change = _read(request, system)
        try:
            connection = connection_add(system, _with_files(change, request), request.user)
        except ConnectionRefused as refusal:
            messages.error(request, f"Nothing was added. {refusal}")
            return _form(request, f"Add {label}", system, _typed(change))
        return _added(request, connection)
    name, address = DEFAULTS[system]
    login_url, settle = LOGIN_DEFAULTS.get(system, ""), SETTLE_SECONDS[system]
    return _form(request, f"Add {label}", system, Entry(name, address, login_url, settle_seconds=settle, mail=mail_form.blank(system)))


def _with_files(change: ConnectionChange, request: HttpRequest) -> ConnectionChange:
    """Returns the change with what stands in the files that were chosen. Raises ConnectionRefused."""
    return mail_form.with_files(salesforce_form.with_files(change, request), request)


def _added(request: HttpRequest, connection: Connection) -> HttpResponse:
    """Leads on: what needs no consent is tested at once, which reads whose it is; the others are connected next."""
    if not connection.needs_consent:
        is_good = all(line.is_ok for line in connection_test(connection))
        (messages.success if is_good else messages.warning)(request, f"“{connection}” is added and was tested.")
    else:
        app = f"your {connection.get_system_display()} app"
        messages.success(request, f"“{connection}” is added. Register the redirect URI below with {app}, then press Connect.")
    return redirect("admin:connection_edit", connection.pk)


@page(ADMINISTER)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    if request.method == "POST":
        try:
            change = _with_files(_read(request, connection.system), request)
            connection_save(connection, change, request.user, wiring=Wiring())
        except ConnectionRefused as refusal:
            messages.error(request, f"Nothing was saved. {refusal}")
            return redirect("admin:connection_edit", pk)
        connection.refresh_from_db()
        messages.success(request, "Saved. Test it now." if connection.is_connected else "Saved. Open it and connect it next.")
        return redirect("admin:connection_list")
    own = connection.settings
    entry = Entry(
        connection.name,
        connection.base_url,
        connection.login_url,
        connection.page_address_template,
        connection.settle_seconds,
        connection.secret_expires_on,
        str(own.get("database_id", "")),
        own.get("least_tls") == "1.2",
        bool(own.get("allow_private")),
        salesforce_form.entered(connection),
        mail_form.entered(connection),
    )
    return _form(request, f"Connection: {connection}", connection.system, entry, connection)


def _form(request: HttpRequest, title: str, system: str, entry: Entry, connection: Connection | None = None) -> HttpResponse:
    """Shows one connection: how it is, its log-in, its settings; or the form of a new one."""
    held = connection.secrets if connection else {}
    scopes = SCOPES.get(system, ()) if connection is None or connection.needs_consent else ()
    is_salesforce = system == Connection.System.SALESFORCE
    expiries = connection.expiries(timezone.now()) if connection else []
    return render(
        request,
        "admin/reconciliation/connection/edit.html",
        title,
        connection=connection,
        system=system,
        entry=entry,
        secrets=[
            {"name": n, "title": n.replace("_", " ").capitalize().replace("Api", "API"), "is_set": bool(held.get(n))}
            for n in SECRETS[system]
        ],
        hosts=", ".join(settings.SYSTEM_HOSTS[system]),
        hooks=hooks_state(connection) if connection and system == Connection.System.OUTREACH else None,
        system_title=Connection.System(system).label,
        secret_name=(connection or Connection(system=system, settings={"flow": entry.mail.flow} if entry.mail else {})).secret_name,
        scopes=scopes,
        redirect_uri=_redirect_uri(request) if scopes else "",
        is_connectable=connection is not None and connection.needs_consent,
        mail=mail_form.shown(entry.mail, system, connection, redirect_uris(request)),
        salesforce=salesforce_form.shown(entry.salesforce, entry.login_url or entry.base_url, connection) if is_salesforce else None,
        expiries=expiries,
        expiring=[e for e in expiries if e.is_near],
    )


def _typed(change: ConnectionChange) -> Entry:
    """Returns what was typed, secrets aside: those are entered again."""
    names = (
        "name",
        "base_url",
        "login_url",
        "page_address_template",
        "secret_expires_on",
        "database_id",
        "allows_tls_12",
        "allows_private",
    )
    own = change.salesforce or SalesforceChange()
    return Entry(settle_seconds=max(0, change.settle_seconds), salesforce=own, mail=change.mail, **{n: getattr(change, n) for n in names})


def _read(request: HttpRequest, system: str) -> ConnectionChange:
    given, is_salesforce = request.POST, system == Connection.System.SALESFORCE
    login_url = salesforce_form.login_url_of(given) if is_salesforce else given.get("login_url", "").strip()[:300]
    settle = whole_number(given.get("settle_seconds", ""))
    typed = given.get("secret_expires_on", "").strip()
    try:
        expires_on = forms.DateField(input_formats=["%Y-%m-%d"]).clean(typed) if typed else None
    except forms.ValidationError:
        expires_on = None
        messages.warning(request, "The expiry date could not be read and was left out; write it as 2027-03-31.")
    return ConnectionChange(
        name=given.get("name", "")[:100],
        base_url=login_url if is_salesforce else given.get("base_url", "").strip()[:300],
        login_url=login_url,
        page_address_template=given.get("page_address_template", "").strip()[:300],
        settle_seconds=-1 if settle is None else settle,
        secrets={n: given.get(n, "").strip() for n in SECRETS[system]},
        secret_expires_on=expires_on,
        allows_tls_12="allows_tls_12" in given,
        allows_private="allows_private" in given,
        database_id=given.get("database_id", "").strip()[:40],
        salesforce=salesforce_form.change_of(given) if is_salesforce else None,
        mail=mail_form.change_of(system, given),
    )


@action(ADMINISTER)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    audit(request.user, "test connection", connection.name)
    lines = connection_test(connection)
    missing, warnings = sum(not line.is_ok for line in lines), sum(line.is_warning and line.is_ok for line in lines)
    if missing:
        messages.error(
            request, f"“{connection}”: {missing} of {counted(len(lines), 'line')} of the test {bent(missing, 'needs', 'need')} a person."
        )
    elif warnings:
        messages.warning(
            request,
            f"“{connection}” works; {warnings} of {counted(len(lines), 'line')} of the test {bent(warnings, 'wants', 'want')} a look.",
        )
    else:
        messages.success(request, f"“{connection}” works.")
    if request.POST.get("from") == "connection":
        return redirect("admin:connection_edit", pk)
    return redirect(f"{reverse('admin:connection_list')}#connection-{pk}")


@action(ADMINISTER)
def connect(request: HttpRequest, pk: int) -> HttpResponse:
    """Sends the person to the system's consent page."""
    connection = get_object_or_404(Connection, pk=pk)
    try:
        url, state, flow = connect_begin(connection, request.user, _redirect_uri(request))
    except ConnectRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("admin:connection_edit", pk)
    return led_away(request, url, state, flow)


@action(ADMINISTER)
def ask_consent(request: HttpRequest, pk: int) -> HttpResponse:
    """Sends an administrator to the page where the app is let into all mailboxes."""
    connection = get_object_or_404(Connection, pk=pk)
    try:
        url, state, flow = admin_consent_begin(connection, request.user, _redirect_uri(request))
    except ConnectRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("admin:connection_edit", pk)
    return led_away(request, url, state, flow)


@page(ADMINISTER)
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Takes what comes back from a page of consent. The state is forgotten before anything else: it is good once."""
    remembered = brought_back(request)
    finish = _consented if (remembered or {}).get("kind") == ADMIN_CONSENT else _connected
    return finish(request, remembered)


def _consented(request: HttpRequest, remembered: Mapping[str, Any] | None) -> HttpResponse:
    try:
        connection = admin_consent_finish(remembered, answer_of(request), request.user)
    except ConnectRefused as refusal:
        messages.error(request, str(refusal))
        return _back_to(remembered)
    if all(line.is_ok for line in connection_test(connection)):
        messages.success(request, f"“{connection}” has the consent, and what it needs was tested.")
    else:
        messages.warning(request, f"“{connection}” has the consent, but the test below says that something is missing.")
    return redirect("admin:connection_edit", connection.pk)


def _connected(request: HttpRequest, remembered: Mapping[str, Any] | None) -> HttpResponse:
    answer = answer_of(request)
    try:
        connection, identity = connect_finish(remembered, answer, request.user)
    except ConnectRefused as refusal:
        messages.error(request, str(refusal))
        return _back_to(remembered)
    who = f" as {identity}" if str(identity) else ""
    lines = connection_test(connection)
    if all(line.is_ok for line in lines):
        messages.success(request, f"“{connection}” is connected{who}, and what it needs was tested.")
    else:
        messages.warning(request, f"“{connection}” is connected{who}, but the test below says that something is missing.")
    return redirect("admin:connection_edit", connection.pk)


def _back_to(remembered: Mapping[str, Any] | None) -> HttpResponse:
    known = Connection.objects.filter(pk=remembered["connection_id"]).exists() if remembered else False
    return redirect("admin:connection_edit", remembered["connection_id"]) if known and remembered else redirect("admin:connection_list")


def _redirect_uri(request: HttpRequest) -> str:
    """Returns the address that the system sends the browser back to, one for all connections."""
    return redirect_uris(request)["connection"]
