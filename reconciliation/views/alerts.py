"""Alerts: what each person is told, and what the chat is told."""

from __future__ import annotations

from datetime import time

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from reconciliation.engine.outbox import Said
from reconciliation.models import AlertKind, Message
from reconciliation.roles import ADMINISTER, VIEW
from reconciliation.selectors import standing_alerts
from reconciliation.services.alerts import (
    AlertsRefused,
    Wanted,
    chat_hook,
    chat_hook_save,
    subscription_of,
    subscription_save,
    trial_chat,
    trial_mail,
)
from reconciliation.views.page import action, page, render

MESSAGES_SHOWN = 20


class AlertsForm(forms.Form):
    """What both the person and the chat choose."""

    kinds = forms.MultipleChoiceField(choices=AlertKind.choices, required=False)
    queue_limit = forms.IntegerField(label="A queue is above", min_value=0)


class SubscriptionForm(AlertsForm):
    address = forms.CharField(label="Your e-mail address", max_length=254, required=False)
    digest_at = forms.TimeField(label="Daily digest at", required=False, input_formats=["%H:%M", "%H:%M:%S"])


class ChatForm(AlertsForm):
    address = forms.CharField(max_length=2000, required=False)
    secret = forms.CharField(max_length=200, required=False)
    is_on = forms.BooleanField(required=False)


@page()
def show(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _save(request)
    mine = subscription_of(request.user)
    hook = chat_hook() if request.user.has_perm(ADMINISTER) else None
    return render(
        request,
        "admin/reconciliation/alert/show.html",
        "Alerts",
        mine=mine,
        hook=hook,
        kinds=_chosen(mine.kinds),
        chat_kinds=_chosen(hook.kinds) if hook else [],
        is_mail_configured=settings.MAIL_IS_CONFIGURED,
        zone=timezone.get_current_timezone_name(),
        standing=standing_alerts(),
        sent=Message.objects.filter(user=request.user)[:MESSAGES_SHOWN],
        chat_sent=Message.objects.filter(user=None)[:5] if hook else [],
    )


def _chosen(kinds: list[str]) -> list[tuple[str, str, bool]]:
    """Returns (value, words, is chosen) of every kind of alert."""
    return [(value, words, value in kinds) for value, words in AlertKind.choices]


def _save(request: HttpRequest) -> HttpResponse:
    form = SubscriptionForm(request.POST)
    try:
        if not form.is_valid():
            raise AlertsRefused(_first_mistake(form))
        values = form.cleaned_data
        digest_at: time | None = values["digest_at"]
        row = subscription_save(request.user, Wanted(tuple(values["kinds"]), values["queue_limit"], values["address"], digest_at))
    except AlertsRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    else:
        what = "Saved." if row.kinds or row.digest_at else "Saved: you are told nothing by mail."
        messages.success(request, what)
    return redirect("admin:alerts")


def _first_mistake(form: forms.Form) -> str:
    name, mistakes = next(iter(form.errors.items()))
    label = form.fields[name].label or name.replace("_", " ")
    return f"{label}: {mistakes[0]}"


@action(VIEW)
def test(request: HttpRequest) -> HttpResponse:
    _say(request, trial_mail(request.user))
    return redirect("admin:alerts")


@action(ADMINISTER)
def save_chat(request: HttpRequest) -> HttpResponse:
    form = ChatForm(request.POST)
    try:
        if not form.is_valid():
            raise AlertsRefused(_first_mistake(form))
        v = form.cleaned_data
        wanted = Wanted(tuple(v["kinds"]), v["queue_limit"])
        chat_hook_save(wanted, address=v["address"], secret=v["secret"], is_on=v["is_on"], by=request.user)
    except AlertsRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    else:
        messages.success(request, "Saved. Send a test message now.")
    return redirect("admin:alerts")


@action(ADMINISTER)
def test_chat(request: HttpRequest) -> HttpResponse:
    _say(request, trial_chat(request.user))
    return redirect("admin:alerts")


def _say(request: HttpRequest, said: Said) -> None:
    (messages.success if said.is_sent else messages.error)(request, said.words)
