"""E-mails that mailboxes shared: which they are, where they lie, what they are linked to and why, and what of them stayed behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import django_filters
from django.contrib import messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation.defaults.emails import EMAILS_PASS
from reconciliation.engine.email_links import choice_of
from reconciliation.engine.email_rows import UNREADABLE, case_id
from reconciliation.filters import passes_of_mailboxes
from reconciliation.models import Case, Email, EmailCopy, Operation, RunEvent
from reconciliation.passes.emails import WHY_WORDS
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count, pass_named
from reconciliation.services.emails import email_link, email_take_back, why_no_links
from reconciliation.services.item_pages import WHAT_IDS, WHO_IDS, Link, links_named, records_found
from reconciliation.templatetags.sync import in_words
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.items import KEEP, choice_in_form
from reconciliation.views.page import action, page, paginate, render

MOST_EVENTS, MOST_COPIES = 20, 50
UNKNOWN = "Nobody knows yet: it cannot be read."
WHY_TITLES = {"category": "Category", "folder": "Folder", "thread": "Conversation", "auto": "By itself", "person": "Save now"}
COLUMNS = (
    Column("subject", lambda e: e.subject),
    Column("from", lambda e: e.sender),
    Column("to", lambda e: e.recipients),
    Column("sent", lambda e: e.sent_at),
    Column("mailbox", lambda e: mailbox_of(e)),
    Column("shared by", lambda e: WHY_TITLES.get(e.why, e.why)),
    Column("by whom", lambda e: e.by),
    Column("state", lambda e: e.get_state_display()),
    Column("why", lambda e: e.sentence or in_words(e.reason)),
    Column("type in the CRM", lambda e: e.crm_type),
    Column("id in the CRM", lambda e: e.crm_id),
    Column("linked to", lambda e: ", ".join(str(e.links[n]) for n in ("who", "what") if e.links.get(n))),
    Column("left out", lambda e: "; ".join(map(str, e.left_out))),
    Column("saved", lambda e: e.saved_at),
    Column("Message-ID", lambda e: e.message_id),
)


class EmailFilter(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=Email.State.choices, empty_label="Any state", label="State")
    why = django_filters.ChoiceFilter(choices=list(WHY_TITLES.items()), empty_label="Any way", label="Shared by")
    mailbox = django_filters.CharFilter(method="by_mailbox", label="Mailbox starts with")
    since = django_filters.DateFilter(field_name="sent_at", lookup_expr="date__gte", label="Sent from")
    until = django_filters.DateFilter(field_name="sent_at", lookup_expr="date__lte", label="Sent to")

    class Meta:
        model = Email
        fields: list[Any] = []

    def by_mailbox(self, rows: QuerySet[Email], name: str, text: str) -> QuerySet[Email]:
        """Returns the e-mails that a mailbox holds whose address begins so."""
        return rows.filter(Exists(EmailCopy.objects.filter(email=OuterRef("pk"), sync_pass__in=passes_of_mailboxes(text))))


def mailbox_of(email: Email) -> str:
    """Returns the mailbox that saved an e-mail, or is to save it."""
    return email.holder.mailbox_address if email.holder is not None else ""


def _rows() -> QuerySet[Email]:
    return Email.objects.select_related("connection", "holder__mailbox").order_by("-pk")


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = EmailFilter(request.GET, _rows())
    return render(
        request,
        "admin/reconciliation/email/list.html",
        f"E-mails of mailboxes: {bounded_count(chosen.qs)}",
        sync_pass=pass_named(EMAILS_PASS),
        filter=chosen,
        why_titles=WHY_TITLES,
        rows=paginate(request, chosen.qs),
    )


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "e-mails", COLUMNS, EmailFilter(request.GET, _rows()).qs)


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    email, copies = _with_copies(pk)
    writes = Operation.objects.filter(source_ref=f"mail:message:{email.key}").select_related("connection").order_by("-pk")
    may_act, text = request.user.has_perm(OPERATE), request.GET.get("q", "").strip()[:200]
    no_links = why_no_links(email)
    return render(
        request,
        "admin/reconciliation/email/detail.html",
        "E-mail",
        may_act=may_act,
        no_links=no_links,
        text=text,
        found=records_found(text) if text and may_act and not no_links else None,
        email=email,
        mailbox=mailbox_of(email),
        why_words=WHY_WORDS,
        why_title=WHY_TITLES.get(email.why, ""),
        url=url_of(email),
        links=_links(email),
        copies=[(copy, WHY_WORDS.get(copy.why, UNKNOWN if email.reason == UNREADABLE else ""), item_url(copy)) for copy in copies],
        writes=list(writes[:MOST_EVENTS]),
        events=_events(copies),
        case=_case(copies) if email.state == Email.State.REFUSED else None,
    )


def _with_copies(pk: int) -> tuple[Email, list[EmailCopy]]:
    """Returns an e-mail, and the mailboxes that hold it: in one query, but of an e-mail that no mailbox is known to hold."""
    rows = EmailCopy.objects.filter(email__in=Email.objects.filter(pk=pk)).order_by("pk")
    copies = list(rows.select_related("email__connection", "email__holder__mailbox", "sync_pass__mailbox", "sync_pass__peer")[:MOST_COPIES])
    return copies[0].email if copies else get_object_or_404(_rows(), pk=pk), copies


def _links(email: Email) -> list[Link]:
    mailbox_id = email.holder.mailbox_id if email.holder is not None else None
    return links_named(email.links or {}, email.connection, mailbox_id, person="Main person", related="Related to")


def url_of(email: Email) -> str:
    """Returns the address of the e-mail's page in the CRM, "" where there is none."""
    template = email.connection.page_address_template if email.crm_id else ""
    return template.replace("{object}", email.crm_type).replace("{id}", email.crm_id)


def item_url(copy: EmailCopy) -> str:
    """Returns the address of the mail's page in its mail system, "" where none is set."""
    template = copy.sync_pass.peer.page_address_template
    return template.replace("{object}", "message").replace("{id}", copy.mail_id)


def _events(copies: list[EmailCopy]) -> list[RunEvent]:
    refs = [f"{copy.sync_pass.peer.system}:mail:{copy.mail_id}"[:320] for copy in copies]
    return list(RunEvent.objects.filter(crm_ref__in=refs).select_related("run").order_by("-pk")[:MOST_EVENTS]) if refs else []


def _case(copies: list[EmailCopy]) -> Case | None:
    ids = [case_id(copy.mail_id) for copy in copies]
    return Case.objects.filter(kind=Case.Kind.ERROR, state=Case.State.OPEN, peer_id__in=ids).order_by("pk").first() if ids else None


@action(OPERATE)
def link(request: HttpRequest, pk: int) -> HttpResponse:
    """Links an e-mail to whom, and what, the form chose: before it is saved, or the task that stands for it."""
    email = get_object_or_404(_rows(), pk=pk)
    before = choice_of(email)
    who = choice_in_form(request.POST.get("who", KEEP)[:18], before.who, WHO_IDS)
    what = choice_in_form(request.POST.get("what", KEEP)[:18], before.what, WHAT_IDS)
    messages.success(request, email_link(email, request.user, replace(before, who=who, what=what)))
    return redirect("admin:email_detail", pk=email.pk)


@action(OPERATE)
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Deletes an e-mail in the CRM, and remembers that it is not to be saved again."""
    email = get_object_or_404(_rows(), pk=pk)
    email_take_back(email, request.user, reason=request.POST.get("reason", "")[:1000])
    messages.success(request, "The e-mail was deleted in Salesforce. It is not saved again, and stays in the mailbox.")
    return redirect("admin:email_detail", pk=email.pk)
