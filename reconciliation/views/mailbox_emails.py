"""Saving e-mails of a mailbox now, following conversations, and looking what sharing everything would take: what a button in the mail
client would do (D31), for the mailbox's user and for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.core.counting import counted
from reconciliation.models import Mailbox, MailThread
from reconciliation.roles import OPERATE, OWN_MAILBOX
from reconciliation.services import emails as desk
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.mailbox_overview import mailboxes_listed
from reconciliation.views.page import action, page, render, whole_number
from reconciliation.views.people_shared import my_mailbox as my_mailbox_of

TEMPLATE = "admin/reconciliation/mailbox/emails.html"
MOST_CHOSEN, MOST_THREADS = 50, 100


def _shown(request: HttpRequest, mailbox: Mailbox, *, is_own: bool, **found: Any) -> HttpResponse:
    return render(
        request,
        TEMPLATE,
        f"Save e-mails now: {mailbox.address}",
        mailbox=mailbox,
        is_own=is_own,
        why=desk.why_nothing(mailbox, desk.emails_pass_row()),
        threads=list(MailThread.objects.filter(mailbox=mailbox).order_by("-pk")[:MOST_THREADS]),
        **found,
    )


@page(OPERATE)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    return _shown(request, get_object_or_404(mailboxes_listed(), pk=pk), is_own=False)


@page(OWN_MAILBOX)
def show_mine(request: HttpRequest) -> HttpResponse:
    return _shown(request, my_mailbox_of(request), is_own=True)


@action(OPERATE)
def do(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    return _done(request, mailbox, is_own=False) or redirect("admin:mailbox_emails", pk=pk)


@action(OWN_MAILBOX)
def do_mine(request: HttpRequest) -> HttpResponse:
    return _done(request, my_mailbox_of(request), is_own=True) or redirect("admin:my_mailbox_emails")


def _done(request: HttpRequest, mailbox: Mailbox, *, is_own: bool) -> HttpResponse | None:
    """Does what was asked for. Returns the page with what was found, None where there is nothing to show but a message."""
    what = request.POST.get("do", "")
    if what == "find":
        mails = desk.mails_find(mailbox, request.user, message_id=request.POST.get("message_id", "")[:1000])
        return _shown(request, mailbox, is_own=is_own, mails=mails, is_asked=True)
    if what == "thread":
        mails = desk.mails_find(mailbox, request.user, thread=request.POST.get("thread", "")[:1000])
        return _shown(request, mailbox, is_own=is_own, mails=mails, is_asked=True)
    if what == "preview":
        days = whole_number(request.POST.get("days", "")) or desk.PREVIEW_DAYS
        return _shown(request, mailbox, is_own=is_own, would=desk.share_all_preview(mailbox, request.user, days=days), is_looked=True)
    _ACTIONS.get(what, _nothing)(request, mailbox)
    return None


def _save(request: HttpRequest, mailbox: Mailbox) -> None:
    chosen = request.POST.getlist("mail")[:MOST_CHOSEN]
    if not chosen:
        raise DecisionRefused("Choose at least one mail. Nothing was saved.")
    choice = desk.choice_of_texts(mailbox, request.user, who=request.POST.get("who", "")[:200], what=request.POST.get("what", "")[:200])
    told = desk.save_now(mailbox, chosen, request.user, choice=choice)
    saved = sum(t.is_saved for t in told)
    if saved:
        messages.success(request, f"{counted(saved, 'e-mail')} in Salesforce now.")
    for one in told:
        if not one.is_saved:
            messages.warning(request, one.sentence)


def _follow(request: HttpRequest, mailbox: Mailbox) -> None:
    desk.thread_follow(mailbox, request.POST.get("mail", "")[:1000], request.user)
    messages.success(request, "New mails of this conversation are saved from now on. Those that came before stay where they are.")


def _let_go(request: HttpRequest, mailbox: Mailbox) -> None:
    pk = whole_number(request.POST.get("row", ""))
    if pk is None or not desk.thread_let_go(mailbox, pk, request.user):
        raise DecisionRefused("This conversation is not followed (any more). Nothing was changed.")
    messages.success(request, "The conversation is followed no more; what was saved stays.")


def _nothing(request: HttpRequest, mailbox: Mailbox) -> None:
    raise DecisionRefused("Choose what to do. Nothing was done.")


_ACTIONS = {"save": _save, "follow": _follow, "let_go": _let_go}
