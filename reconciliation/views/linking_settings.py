"""Settings of linking that most sites never need: an admin saves them, operators see them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from reconciliation.engine.linking_lookups import CONTACT, LEAD
from reconciliation.roles import ADMINISTER, OPERATE
from reconciliation.services.linking_settings import LEAST_MADE, MOST_MADE, Linking, linking_of, linking_save
from reconciliation.services.mailbox_overview import settings_row, settings_wanted
from reconciliation.services.mailboxes import MailboxRefused
from reconciliation.views.mailbox_settings import NO_PASS
from reconciliation.views.page import action, page, render, whole_number
from reconciliation.views.people_shared import pages_of


@page(OPERATE)
def show(request: HttpRequest) -> HttpResponse:
    parent = settings_row()
    if parent is None:
        messages.info(request, NO_PASS)
        return redirect("admin:mailbox_list")
    return render(
        request,
        "admin/reconciliation/linking/settings.html",
        "Settings of linking",
        linking=linking_of(parent),
        crm=parent.crm,
        least=LEAST_MADE,
        most=MOST_MADE,
        pages=pages_of(None),
    )


@action(ADMINISTER)
def save(request: HttpRequest) -> HttpResponse:
    given = request.POST
    wanted = Linking(
        {CONTACT: _names(given.get("contact_fields", "")), LEAD: _names(given.get("lead_fields", ""))},
        given.get("region", "").strip().upper(),
        whole_number(given.get("most_made", "").strip()) or 0,
        given.get("person_record_type", "").strip(),
    )
    try:
        is_new = linking_save(settings_wanted(), wanted, request.user)
        messages.success(request, "Saved. It holds from the next run of each mailbox on." if is_new else "Nothing was changed.")
    except MailboxRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    return redirect("admin:linking_settings")


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in text[:5_000].replace(",", " ").split() if name))
