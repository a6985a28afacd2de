"""Settings of mailboxes: for all of them with locks, for groups, for one; and how new contacts are made."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.core.mailbox_settings import SETTINGS
from reconciliation.models import Mailbox, MailboxGroup, SyncPass
from reconciliation.roles import ADMINISTER, OPERATE
from reconciliation.services.mailbox_groups import group_remove, group_save
from reconciliation.services.mailbox_overview import held_in, mailboxes_listed, settings_row, settings_wanted
from reconciliation.services.mailbox_settings import (
    Creation,
    ViewChoices,
    creation_of,
    creation_save,
    group_settings,
    lines_of,
    lines_of_group,
    own_save,
    rules_of,
    rules_save,
    sections_of,
    view_for_all,
    view_reach,
    views_read,
    window_of,
    window_save,
)
from reconciliation.services.mailboxes import MailboxRefused
from reconciliation.views.page import action, page, render, whole_number

SETTINGS_PAGE = "admin/reconciliation/mailbox/settings.html"
NO_PASS = "Connect Salesforce and a mail system first."


def views_of(parent: SyncPass) -> ViewChoices:
    """Returns the views to choose from; where Salesforce cannot be asked, the standard ones and why."""
    try:
        return ViewChoices(views_read(parent.crm))
    except ConnectorError as error:
        return ViewChoices((), f"The saved views could not be read: {error.sentence}.")


def wanted_of(request: HttpRequest) -> dict[str, str]:
    """Returns what a form says of the settings it shows."""
    return {name: request.POST[name] for name in SETTINGS if name in request.POST}


def told(request: HttpRequest, titles: list[str]) -> None:
    """Says what was saved, and what follows from it."""
    if not titles:
        messages.info(request, "Nothing was changed.")
        return
    more = " Everything is compared anew by the next run." if SETTINGS["view"].title in titles else ""
    messages.success(request, f"Saved: {', '.join(titles)}. It holds from the next run on.{more}")


# --- for all --------------------------------------------------------------------------------------------------------


@page(OPERATE)
def show(request: HttpRequest) -> HttpResponse:
    """Shows what holds for all mailboxes; an admin saves it."""
    parent = settings_row()
    if parent is None:
        messages.info(request, NO_PASS)
        return redirect("admin:mailbox_list")
    views = views_of(parent)
    return render(
        request,
        SETTINGS_PAGE,
        "Settings of mailboxes",
        sections=sections_of(rules_of(parent, views)),
        window=window_of(),
        views=views,
        parent=parent,
        creation=creation_of(parent),
        groups=list(MailboxGroup.objects.order_by("name")),
    )


@action(ADMINISTER)
def save(request: HttpRequest) -> HttpResponse:
    parent = settings_wanted()
    wanted = {name: (text, request.POST.get(f"{name}_locked") == "on") for name, text in wanted_of(request).items()}
    try:
        told(request, rules_save(parent, wanted, request.user))
    except MailboxRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    return redirect("admin:mailbox_settings")


@action(ADMINISTER)
def save_creation(request: HttpRequest) -> HttpResponse:
    """Saves how new contacts are made in Salesforce (S1.19)."""
    parent = settings_wanted()
    pairs = zip(request.POST.getlist("field"), request.POST.getlist("value"), strict=False)
    defaults = {name.strip(): value.strip() for name, value in pairs if name.strip() and value.strip()}
    required, wanted = (_names(request.POST.get(which, "")) for which in ("required", "wanted"))
    try:
        is_new = creation_save(parent, Creation(defaults, required, wanted, request.POST.get("account", "").strip()), request.user)
        messages.success(request, "Saved. It holds for contacts that are new from the next run on." if is_new else "Nothing was changed.")
    except MailboxRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    return redirect(f"{reverse('admin:mailbox_settings')}#creation")


@action(ADMINISTER)
def save_window(request: HttpRequest) -> HttpResponse:
    """Saves which days of calendars are looked at."""
    back, ahead = (whole_number(request.POST.get(name, "").strip()) for name in ("back_days", "ahead"))
    try:
        is_new = window_save(back, ahead, request.user)
        said = "Saved. The next run over each calendar compares its days as a whole." if is_new else "Nothing was changed."
        messages.success(request, said)
    except MailboxRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    return redirect(f"{reverse('admin:mailbox_settings')}#days")


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.replace(",", "\n").splitlines() if name.strip()))


# --- groups ---------------------------------------------------------------------------------------------------------


@action(ADMINISTER)
def add_group(request: HttpRequest) -> HttpResponse:
    group = group_save(None, request.POST.get("name", ""), {}, request.user)
    messages.success(request, f"Group “{group}” is made. Choose what its mailboxes begin with.")
    return redirect("admin:mailbox_group", group.pk)


@page(ADMINISTER)
def show_group(request: HttpRequest, pk: int) -> HttpResponse:
    group, parent = get_object_or_404(MailboxGroup, pk=pk), settings_row()
    if parent is None:
        messages.info(request, NO_PASS)
        return redirect("admin:mailbox_list")
    if request.method == "POST":
        return _change_group(request, pk)
    views = views_of(parent)
    members = counted(group.mailboxes.count(), "mailbox", "mailboxes")
    template = "admin/reconciliation/mailbox/group.html"
    sections = sections_of(lines_of_group(parent, group, views))
    return render(request, template, f"Group: {group}", group=group, sections=sections, views=views, members=members)


@action(ADMINISTER)
def _change_group(request: HttpRequest, pk: int) -> HttpResponse:
    group = get_object_or_404(MailboxGroup, pk=pk)
    if request.POST.get("do") == "delete":
        group_remove(group, request.user)
        messages.success(request, f"Group “{group}” is gone. What its mailboxes chose themselves stays.")
        return redirect("admin:mailbox_settings")
    group_save(group, request.POST.get("name", ""), group_settings(wanted_of(request)), request.user)
    messages.success(request, "Saved. It holds from the next run on for mailboxes of the group that choose nothing themselves.")
    return redirect("admin:mailbox_group", pk)


# --- one mailbox ----------------------------------------------------------------------------------------------------


@page(OPERATE)
def show_own(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    if request.method == "POST":
        return _save_own(request, pk)
    return own_page(request, mailbox, reverse("admin:mailbox_detail", args=[pk]), reverse("admin:mailbox_view_count", args=[pk]))


def own_page(request: HttpRequest, mailbox: Mailbox, back: str, count: str) -> HttpResponse:
    """Shows the settings of one mailbox, to staff or to its user."""
    parent = settings_row()
    if parent is None:
        messages.info(request, NO_PASS)
        return redirect(back)
    views = views_of(parent)
    return render(
        request,
        "admin/reconciliation/mailbox/own_settings.html",
        f"Settings of {mailbox.address}",
        mailbox=mailbox,
        sections=sections_of(lines_of(parent, mailbox, views)),
        views=views,
        held=held_in(mailbox, parent),
        back=back,
        count_address=count,
    )


@action(OPERATE)
def _save_own(request: HttpRequest, pk: int) -> HttpResponse:
    save_choices(request, get_object_or_404(mailboxes_listed(), pk=pk))
    return redirect("admin:mailbox_detail", pk)


def save_choices(request: HttpRequest, mailbox: Mailbox) -> None:
    """Stores what was chosen for one mailbox. Raises DecisionRefused."""
    told(request, own_save(settings_wanted(), mailbox, wanted_of(request), request.user))


@page(OPERATE)
def count(request: HttpRequest, pk: int) -> JsonResponse:
    return counted_view(request, get_object_or_404(Mailbox, pk=pk))


def counted_view(request: HttpRequest, mailbox: Mailbox) -> JsonResponse:
    """Returns how many contacts a view would show in this mailbox, in words."""
    parent = settings_row()
    if parent is None or not mailbox.crm_user_id:
        return JsonResponse({"words": "It can be counted once the mailbox's Salesforce user is known."})
    try:
        reach = view_reach(parent, mailbox, request.GET.get("view", "")[:64] or view_for_all(parent, mailbox))
    except (ConnectorError, MailboxRefused) as error:
        return JsonResponse({"words": f"It cannot be counted: {getattr(error, 'sentence', error)}"})
    return JsonResponse({"words": reach.sentence})
