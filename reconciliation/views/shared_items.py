"""What left one's own mailbox: every event, task and e-mail that is in Salesforce, why, and who sees it there; taking one back, and
sharing an event of the own calendar at once (S4.5, D31). Nothing of anybody else's."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.dateparse import parse_date

from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.core.values import isolated
from reconciliation.models import Email, EmailCopy, Mailbox, MailboxItem
from reconciliation.passes.emails import WHY_WORDS as EMAIL_WHY
from reconciliation.roles import OWN_MAILBOX
from reconciliation.selectors import bounded_count
from reconciliation.services import item_pages as pages
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.item_take_back import MOST_AT_ONCE, emails_take_back
from reconciliation.services.items import item_share
from reconciliation.views.items import ItemFilter, item_page, link_of, pages_of, send_update_of, take_back_of, tell
from reconciliation.views.page import action, page, paginate, render
from reconciliation.views.people_shared import chosen_rows, my_mailbox

DAYS_SHOWN = 7  # of the own calendar, unless other days are asked for


def _mine(request: HttpRequest, pk: int) -> tuple[Mailbox, MailboxItem]:
    """Returns the own mailbox and an item of it. Raises Http404 for anybody else's."""
    mailbox = my_mailbox(request)
    return mailbox, get_object_or_404(pages.items_listed(mailbox), pk=pk)


@page(OWN_MAILBOX)
def show_list(request: HttpRequest) -> HttpResponse:
    mailbox = my_mailbox(request)
    chosen = ItemFilter(request.GET, pages.items_listed(mailbox), own=mailbox)
    rows = paginate(request, chosen.qs)
    for row in rows:
        row.seen_by = pages.seen_by(row)
    left = pages.items_listed(mailbox).filter(state=MailboxItem.State.LINKED)
    title = f"What left my mailbox: {bounded_count(left)}"
    common = {"own": mailbox, "pages": pages_of(mailbox), "filter": chosen, "rows": rows}
    return render(request, "admin/reconciliation/item/mine.html", title, **common)


@page(OWN_MAILBOX)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox, item = _mine(request, pk)
    return item_page(request, item, mailbox, may_act=True)


@action(OWN_MAILBOX)
def send_update(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox, item = _mine(request, pk)
    return send_update_of(request, item, mailbox)


@action(OWN_MAILBOX)
def link(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox, item = _mine(request, pk)
    return link_of(request, item, mailbox)


@action(OWN_MAILBOX)
def take_back(request: HttpRequest) -> HttpResponse:
    return take_back_of(request, my_mailbox(request))


# --- sharing now ------------------------------------------------------------------------------------------------------


@page(OWN_MAILBOX)
def find(request: HttpRequest) -> HttpResponse:
    """Looks an event of the own calendar up, by words of its subject and by days."""
    mailbox, today = my_mailbox(request), timezone.localdate()
    first = _day(request.GET.get("first", "")) or today
    last = _day(request.GET.get("last", "")) or first + timedelta(days=DAYS_SHOWN - 1)
    text, is_asked, found, trouble = request.GET.get("q", "").strip()[:200], "first" in request.GET, [], ""
    if is_asked:
        try:
            found = pages.events_found(mailbox, request.user, text, first, last)  # type: ignore[arg-type]
        except DecisionRefused as refusal:
            trouble = str(refusal)
        except ConnectorError as error:
            trouble = f"{error.sentence}. {error.remedy}"
    said = {"first": first, "last": last, "text": text, "is_asked": is_asked, "most_days": pages.MOST_DAYS}
    template = "admin/reconciliation/item/find.html"
    return render(request, template, "Share an event now", own=mailbox, found=found, trouble=trouble, **said)


def _day(text: str) -> date | None:
    try:
        return parse_date(text[:10])
    except ValueError:
        return None


@action(OWN_MAILBOX)
def share(request: HttpRequest) -> HttpResponse:
    """Shares one event of the own calendar at once (S4.28)."""
    mailbox, item_id = my_mailbox(request), request.POST.get("item", "")[:1000]
    if not item_id:
        raise DecisionRefused("Choose an event. Nothing was done.")
    item_share(mailbox, item_id, request.user)  # type: ignore[arg-type]
    row = pages.items_listed(mailbox).filter(item_id=item_id[:255]).first()
    messages.success(request, f"“{row}” is in Salesforce now." if row is not None else "It is in Salesforce now.")
    return redirect("admin:my_mailbox_shared_item", row.pk) if row is not None else redirect("admin:my_mailbox_shared")


# --- e-mails ----------------------------------------------------------------------------------------------------------


def _emails(mailbox: Mailbox) -> QuerySet[Email]:
    """Returns the e-mails that were saved from a mailbox."""
    return Email.objects.filter(holder__mailbox=mailbox).exclude(crm_id="").select_related("connection", "holder").order_by("-pk")


@page(OWN_MAILBOX)
def show_emails(request: HttpRequest) -> HttpResponse:
    mailbox = my_mailbox(request)
    rows = paginate(request, _emails(mailbox))
    saved = _emails(mailbox).filter(state=Email.State.SAVED)
    title = f"E-mails that left my mailbox: {bounded_count(saved)}"
    told = [(row, EMAIL_WHY.get(row.why, ""), _seen_by(row, mailbox)) for row in rows]
    return render(request, "admin/reconciliation/item/mine_emails.html", title, own=mailbox, rows=rows, told=told)


def _seen_by(email: Email, mailbox: Mailbox) -> str:
    """Returns to whom an e-mail is visible in Salesforce, in a sentence."""
    if email.state != Email.State.SAVED:
        return "Nobody: it is not in Salesforce."
    linked = [email.links.get(name) for name in ("who", "what")]
    owner = isolated(mailbox.crm_user) if mailbox.crm_user else "its owner"
    if not any(linked):
        return f"{owner} and those above in the role hierarchy."
    return f"{owner}, those above in the role hierarchy, and whoever may open the records that it is linked to."


@action(OWN_MAILBOX)
def take_back_emails(request: HttpRequest) -> HttpResponse:
    """Shows what taking the chosen e-mails back means, then, confirmed, does it."""
    mailbox = my_mailbox(request)
    rows: list[Any] = chosen_rows(request, _emails(mailbox).filter(state=Email.State.SAVED), MOST_AT_ONCE)
    if not rows:
        raise DecisionRefused("Choose at least one e-mail that is in Salesforce. Nothing was done.")
    if len(rows) > MOST_AT_ONCE:
        raise DecisionRefused(f"At most {MOST_AT_ONCE} at once. Nothing was done.")
    if request.POST.get("confirmed") != "yes":
        others = dict(EmailCopy.objects.filter(email__in=rows).exclude(sync_pass__mailbox=mailbox).values_list("email", "pk"))
        told = [(row, row.pk in others) for row in rows]
        title = f"Take back: {counted(len(rows), 'e-mail')}"
        return render(request, "admin/reconciliation/item/confirm_emails.html", title, own=mailbox, told=told)
    tell(request, emails_take_back(rows, request.user), "e-mail was", "e-mails were")  # type: ignore[arg-type]
    return redirect("admin:my_mailbox_shared_emails")
