"""A mailbox user's own page: how the sync of their mailbox stands, and their own settings. Nothing of anybody else."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from reconciliation.models import Mailbox
from reconciliation.roles import OWN_MAILBOX
from reconciliation.services.mailbox_connect import can_connect, is_connected, mailbox_connect_begin, mailbox_connect_finish
from reconciliation.services.mailbox_links import link_use
from reconciliation.services.mailbox_overview import mailboxes_listed
from reconciliation.services.mailbox_states import mailbox_pause, mailbox_resume, mailbox_sync_now
from reconciliation.services.oauth import ConnectRefused
from reconciliation.views.led_away import answer_of, brought_back, led_away, redirect_uris
from reconciliation.views.mailbox_settings import counted_view, own_page, save_choices
from reconciliation.views.mailboxes import carry_out, shown
from reconciliation.views.page import action, page, render

ACTS = {
    "pause": (mailbox_pause, "The sync of {} is paused; nothing is lost, it goes on from where it stands."),
    "resume": (mailbox_resume, "The sync of {} goes on within a minute."),
    "sync": (mailbox_sync_now, "The mailbox {} is synced as soon as a worker is free."),
}


def _mine(request: HttpRequest) -> Mailbox:
    mailbox = mailboxes_listed().filter(user=request.user.pk).first()
    if mailbox is None:
        raise Http404("No mailbox belongs to this user.")
    return mailbox


@page(OWN_MAILBOX)
def show(request: HttpRequest) -> HttpResponse:
    mailbox = _mine(request)
    return render(
        request,
        "admin/reconciliation/mailbox/mine.html",
        f"My mailbox: {mailbox.address}",
        can_connect=can_connect(mailbox),
        is_connected=is_connected(mailbox),
        **shown(mailbox, request),
    )


@action(OWN_MAILBOX)
def do(request: HttpRequest) -> HttpResponse:
    carry_out(request, _mine(request), ACTS)
    return redirect("admin:my_mailbox")


@action(OWN_MAILBOX)
def connect(request: HttpRequest) -> HttpResponse:
    """Sends the user of the mailbox to the mail system's page of consent."""
    try:
        url, state, flow = mailbox_connect_begin(_mine(request), request.user, redirect_uris(request)["mailbox"])
    except ConnectRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("admin:my_mailbox")
    return led_away(request, url, state, flow)


@page(OWN_MAILBOX)
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Takes what comes back from there. The state is forgotten before anything else: it is good once."""
    try:
        mailbox = mailbox_connect_finish(brought_back(request), answer_of(request), request.user)
        messages.success(request, f"Your mailbox {mailbox.address} is connected.")
    except ConnectRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("admin:my_mailbox")


@page(OWN_MAILBOX)
def settings(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _save(request)
    return own_page(request, _mine(request), reverse("admin:my_mailbox"), reverse("admin:my_mailbox_count"))


@action(OWN_MAILBOX)
def _save(request: HttpRequest) -> HttpResponse:
    save_choices(request, _mine(request))
    return redirect("admin:my_mailbox")


@page(OWN_MAILBOX)
def count(request: HttpRequest) -> JsonResponse:
    return counted_view(request, _mine(request))


SIGN_IN = "admin/reconciliation/mailbox/sign_in.html"


@never_cache
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Shows a button, and signs in by it: programs that look at links in mails open them, too, and must not use them up."""
    if request.method == "POST":
        user = link_use(token, request)
        if user is not None:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            return redirect("admin:my_mailbox")
        return render(request, SIGN_IN, "Your mailbox", is_over=True)
    return render(request, SIGN_IN, "Your mailbox")
