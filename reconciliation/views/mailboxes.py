"""Mailboxes: how all of them stand, one of them with its runs, counts and issues, and what people may do with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import django_filters
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from reconciliation import jobs
from reconciliation.core.counting import counted
from reconciliation.defaults.contacts import CONTACTS_PASS
from reconciliation.engine.mailbox_queue import is_switched_on
from reconciliation.models import Case, Connection, Mailbox, MailboxGroup, Run, SyncPass
from reconciliation.roles import ADMINISTER, OPERATE
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.mailbox_activity import activity_of, activity_of_all, unknown_people
from reconciliation.services.mailbox_directory import mailbox_choose_user
from reconciliation.services.mailbox_ending import ending_of, mailboxes_end
from reconciliation.services.mailbox_first import mailbox_start, mailboxes_start, may_start, previews_ask
from reconciliation.services.mailbox_groups import group_assign
from reconciliation.services.mailbox_links import link_send
from reconciliation.services.mailbox_overview import (
    NO_PASS,
    NOBODYS,
    IssueGroup,
    MailboxRow,
    complete,
    contents_of,
    issues_of,
    mailbox_passes,
    mailboxes_listed,
    search_in,
    standing_still,
    tiles,
    with_issues,
)
from reconciliation.services.mailbox_settings import ViewChoices, lines_of, said_of, sections_said
from reconciliation.services.mailbox_states import Done, mailbox_pause, mailbox_resume, mailbox_sync_now, mailboxes_do
from reconciliation.services.mailbox_test import mailbox_test
from reconciliation.services.mailbox_users import users_for
from reconciliation.services.mailboxes import MAIL_SYSTEMS, pass_over
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, is_local, page, paginate, render, whole_number

COLUMNS = (
    Column("address", lambda r: r.mailbox.address),
    Column("name", lambda r: r.mailbox.name),
    Column("connection", lambda r: str(r.mailbox.connection)),
    Column("Salesforce user", lambda r: r.mailbox.crm_user_name),
    Column("Salesforce user id", lambda r: r.mailbox.crm_user_id),
    Column("group", lambda r: r.mailbox.group or ""),
    Column("state", lambda r: r.word),
    Column("what", lambda r: r.parent.title if r.parent else ""),
    Column("why", lambda r: r.why),
    Column("last run", lambda r: r.last_run.started_at if r.last_run else None),
    Column("last run's state", lambda r: r.last_run.get_state_display() if r.last_run else ""),
    Column("next run", lambda r: r.sync_pass.next_due_at if r.sync_pass else None),
    Column("open issues", lambda r: r.of_all),
)
MOST_AT_ONCE = 1000
RUNS_SHOWN = 10
BULK = {"pause": "paused", "resume": "resumed", "sync_now": "asked to run now"}


def connections_named() -> list[tuple[int, str]]:
    return list(Connection.objects.filter(system__in=MAIL_SYSTEMS).order_by("name").values_list("pk", "name"))


def groups_named() -> list[tuple[int, str]]:
    return list(MailboxGroup.objects.order_by("name").values_list("pk", "name"))


class MailboxFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="by_text", label="Address, name or Salesforce user")
    state = django_filters.ChoiceFilter(choices=Mailbox.State.choices, empty_label="Any state", label="State")
    connection = django_filters.ChoiceFilter(choices=connections_named, empty_label="Any", label="Connection")
    group = django_filters.ChoiceFilter(choices=groups_named, empty_label="Any", label="Group")
    issues = django_filters.ChoiceFilter(method="by_issues", choices=[("yes", "With open issues")], empty_label="All", label="Issues")

    user = django_filters.ChoiceFilter(method="by_user", choices=[("none", "Nobody known")], empty_label="Any", label="Salesforce user")

    class Meta:
        model = Mailbox
        fields: list[str] = []

    def by_user(self, rows: QuerySet[Mailbox], name: str, value: str) -> QuerySet[Mailbox]:
        return rows.filter(NOBODYS)

    def by_text(self, rows: QuerySet[Mailbox], name: str, value: str) -> QuerySet[Mailbox]:
        text = value.strip()[:254]
        return rows.filter(Q(address__icontains=text) | Q(name__icontains=text) | Q(crm_user_name__icontains=text))

    def filter_queryset(self, queryset: QuerySet[Mailbox]) -> QuerySet[Mailbox]:
        rows = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("state") else rows.exclude(state=Mailbox.State.ENDED)

    def by_issues(self, rows: QuerySet[Mailbox], name: str, value: str) -> QuerySet[Mailbox]:
        return rows.filter(with_issues())


# --- all of them ----------------------------------------------------------------------------------------------------


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    parents, chosen = mailbox_passes(), MailboxFilter(request.GET, mailboxes_listed())
    rows = paginate(request, chosen.qs)
    return render(
        request,
        "admin/reconciliation/mailbox/list.html",
        "Mailboxes",
        parents=parents,
        still=standing_still(parents),
        has_mail_system=lambda: Connection.objects.filter(system__in=MAIL_SYSTEMS).exists(),
        filter=chosen,
        tiles=tiles(),
        rows=rows,
        lines=complete(list(rows), parents),
        groups=chosen.form.fields["group"].choices,
    )


@page()
def show_activity(request: HttpRequest) -> HttpResponse:
    """What each pass did for all mailboxes in the last day."""
    lines = activity_of_all(mailbox_passes())
    return render(request, "admin/reconciliation/mailbox/activity.html", "Activity of mailboxes", lines=lines, unknown=unknown_people())


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    parents = mailbox_passes()

    def rows() -> Any:
        found, position = MailboxFilter(request.GET, mailboxes_listed()).qs.order_by("pk"), 0
        while part := list(found.filter(pk__gt=position)[:500]):
            yield from complete(part, parents)
            position = part[-1].pk

    return export_rows(request, "mailboxes", COLUMNS, rows())


@action(OPERATE)
def bulk(request: HttpRequest) -> HttpResponse:
    """Pauses, resumes or runs the chosen mailboxes, or all that the filter shows."""
    what = request.POST.get("do", "")
    pks = _chosen(request)
    if not pks:
        raise DecisionRefused("Choose at least one mailbox. Nothing was done.")
    if what == "group":
        return _bulk_group(request, pks)
    if what == "start":
        return _show_start(request, pks)
    if what == "end":
        return _show_end(request, pks)
    if what == "preview":
        _tell(request, previews_ask(pks, request.user), "previewed as workers are free; nothing is written")
        return _back(request)
    if what not in BULK:
        raise DecisionRefused("Choose what to do with the mailboxes. Nothing was done.")
    _tell(request, mailboxes_do(what, pks, request.user), BULK[what])
    return _back(request)


def _show_start(request: HttpRequest, pks: list[int]) -> HttpResponse:
    """Shows what the first runs of these mailboxes would do, together and each; nothing is started yet."""
    ready, refused = may_start(complete(list(mailboxes_listed().filter(pk__in=pks)), mailbox_passes()))
    if not ready:
        more = f" {counted(len(refused) - 1, 'other')} cannot either." if len(refused) > 1 else ""
        then = " Press Preview new ones first, and look at what the previews show."
        raise DecisionRefused(f"None of them can be started: {refused[0]}{more}{then}" if refused else "None of them is there any more.")
    sums = {name: sum(getattr(row.plan, name) for row in ready) for name in ("created", "updated", "duplicates", "failed", "held")}
    template, kinds = "admin/reconciliation/mailbox/start.html", {line.parent.name for line in ready if line.parent is not None}
    said = {"noun": "contact" if kinds == {CONTACTS_PASS} else "record", "has_several": kinds != {CONTACTS_PASS}}
    title = f"Start {counted(len({line.mailbox.pk for line in ready}), 'mailbox', 'mailboxes')}"
    return render(request, template, title, ready=ready, refused=refused, sums=sums, **said)


def _show_end(request: HttpRequest, pks: list[int]) -> HttpResponse:
    """Says what ending these mailboxes comes to; nothing is ended yet."""
    if not request.user.has_perm(ADMINISTER):
        raise DecisionRefused("Only an admin ends the sync of a mailbox. Nothing was done.")
    ending = ending_of(pks)
    only = ending.mailboxes[0].address if len(ending.mailboxes) == 1 else ""
    title = f"End the sync of {only or counted(len(ending.mailboxes), 'mailbox', 'mailboxes')}"
    return render(request, "admin/reconciliation/mailbox/end.html", title, ending=ending)


@action(ADMINISTER)
def end_many(request: HttpRequest) -> HttpResponse:
    """Ends the sync of the mailboxes that were shown."""
    pks = [pk for text in request.POST.getlist("chosen")[:MOST_AT_ONCE] if (pk := whole_number(text)) is not None]
    done = mailboxes_end(pks, request.user, request.POST.get("reason", ""))
    _tell(request, done, "ended; nothing was deleted")
    return redirect("admin:mailbox_list")


@action(ADMINISTER)
def start_many(request: HttpRequest) -> HttpResponse:
    """Starts the mailboxes whose previews were shown."""
    shown_plans = [text.partition(":") for text in request.POST.getlist("plan")[:MOST_AT_ONCE]]
    plans = [(whole_number(pk) or 0, whole_number(run) or 0) for pk, _, run in shown_plans]
    done, started = mailboxes_start(plans, request.user)
    for child in started:
        jobs.nudge(child.name, request.user.get_username())
    _tell(request, done, "started; the first runs begin as workers are free")
    return redirect("admin:mailbox_list")


def _tell(request: HttpRequest, done: Done, what: str) -> None:
    if done.changed:
        messages.success(request, f"{counted(done.changed, 'mailbox', 'mailboxes')} {what}.")
    for sentence in done.refused[:5]:
        messages.warning(request, f"Left as it is: {sentence}")
    if len(done.refused) > 5:
        messages.warning(request, f"{len(done.refused) - 5} more were left as they are.")


def _back(request: HttpRequest) -> HttpResponse:
    back = request.POST.get("back", "")
    return redirect(back if is_local(back) else "admin:mailbox_list")


def _chosen(request: HttpRequest) -> list[int]:
    if request.POST.get("all") == "yes":
        rows = MailboxFilter(request.GET, Mailbox.objects.all()).qs
        return list(rows.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE])
    return [pk for text in request.POST.getlist("chosen")[:MOST_AT_ONCE] if (pk := whole_number(text)) is not None]


def _bulk_group(request: HttpRequest, pks: list[int]) -> HttpResponse:
    group = MailboxGroup.objects.filter(pk=whole_number(request.POST.get("group", "")) or 0).first()
    done = group_assign(pks, group, request.user)
    messages.success(request, f"{counted(done.changed, 'mailbox', 'mailboxes')} changed: {f'group “{group}”' if group else 'no group'}.")
    return _back(request)


# --- one of them ----------------------------------------------------------------------------------------------------


def shown(mailbox: Mailbox, request: HttpRequest) -> dict[str, Any]:
    """Returns what the page of one mailbox shows, to staff and to its user."""
    parents = mailbox_passes()
    row = complete([mailbox], parents)[0]
    lines = {line.parent.name: line for line in row.lines if line.parent is not None}
    contacts = lines.get(CONTACTS_PASS, MailboxRow(mailbox, is_on=False))
    shared = parents[0] if parents else None
    text = request.GET.get("q", "").strip()[:200]
    views = ViewChoices()
    passes = [line.sync_pass for line in row.lines if line.sync_pass is not None]
    return {
        "parent": shared,
        "row": row,
        "mailbox": mailbox,
        "contents": contents_of(contacts.sync_pass) if contacts.is_on or (contacts.parent is not None and len(row.lines) < 2) else None,
        "activity": activity_of(row),
        "unknown": next((getattr(p, "unresolved", None) for p in passes), None) or 0,
        "issues": [(issue, _address_of(issue, mailbox)) for issue in issues_of(passes)],
        "settings": sections_said(said_of(lines_of(shared, mailbox, views), views)) if shared is not None else [],
        "runs": list(Run.objects.filter(sync_pass__in=passes).select_related("sync_pass__mailbox", "sync_pass__parent")[:RUNS_SHOWN])
        if passes
        else [],
        "q": text,
        "found": search_in(contacts.sync_pass, text) if text else [],
    }


LISTS = {
    Case.Kind.ERROR: "error_list",
    Case.Kind.CONFLICT: "conflict_list",
    Case.Kind.DELETION: "contact_question_list",
    Case.Kind.EXISTS: "contact_question_list",
}


def _address_of(issue: IssueGroup, mailbox: Mailbox) -> str:
    """Returns where the open cases of one kind are worked, "" where they have no list."""
    name = LISTS.get(Case.Kind(issue.kind))
    return f"{reverse(f'admin:{name}')}?{urlencode({'mailbox': mailbox.address})}" if name else ""


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    groups = list(MailboxGroup.objects.order_by("name"))
    return render(request, "admin/reconciliation/mailbox/detail.html", mailbox.address, groups=groups, **shown(mailbox, request))


Act = Callable[[Mailbox, AbstractBaseUser], object]
ACTS: dict[str, tuple[Act, str]] = {
    "pause": (mailbox_pause, "The sync of {} is paused; nothing is lost, it goes on from where it stands."),
    "resume": (mailbox_resume, "The sync of {} goes on within a minute."),
    "sync": (mailbox_sync_now, "The mailbox {} is synced as soon as a worker is free."),
    "link": (link_send, "A link that signs in once was sent to {}; it works for a day."),
}


def carry_out(request: HttpRequest, mailbox: Mailbox, acts: dict[str, tuple[Act, str]]) -> None:
    """Does what a button says. Raises DecisionRefused."""
    what = request.POST.get("do", "")
    if what not in acts:
        raise DecisionRefused("There is no such thing to do with a mailbox.")
    act, said = acts[what]
    act(mailbox, request.user)
    messages.success(request, said.format(mailbox.address))


@action(OPERATE)
def do(request: HttpRequest, pk: int) -> HttpResponse:
    carry_out(request, get_object_or_404(mailboxes_listed(), pk=pk), ACTS)
    return redirect("admin:mailbox_detail", pk)


@action(OPERATE)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    lines = mailbox_test(mailbox, request.user)
    is_good = all(line.is_ok for line in lines)
    said = "Everything works." if is_good else "Something is missing; the lines below say what."
    (messages.success if is_good else messages.warning)(request, f"The mailbox {mailbox.address} was tested. {said}")
    return redirect(f"{reverse('admin:mailbox_detail', args=[pk])}#checks")


def _pass_asked(request: HttpRequest, mailbox: Mailbox) -> SyncPass:
    """Returns the pass that a form names, else the first that is switched on for the mailbox. Raises DecisionRefused."""
    parents = mailbox_passes()
    if not parents:
        raise DecisionRefused(NO_PASS)
    if name := request.POST.get("pass", ""):
        found = next((parent for parent in parents if parent.name == name), None)
        if found is None:
            raise DecisionRefused("There is no such pass over mailboxes.")
        return found
    return next((parent for parent in parents if is_switched_on(parent, mailbox)), parents[0])


@action(OPERATE)
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    if mailbox.is_ended:
        raise DecisionRefused("The sync of this mailbox was ended; add it again, and it begins with a preview.")
    if not mailbox.crm_user_id:
        raise DecisionRefused("Choose its Salesforce user first; a preview shows what that user sees.")
    child = pass_over(_pass_asked(request, mailbox), mailbox)
    audit(request.user, "preview mailbox", mailbox.address, what=child.whole.title)
    jobs.ask_for("preview", child.name, request.user.get_username())
    messages.success(request, "The preview is being made; it appears at the top of the mailbox's runs. Nothing is written.")
    return redirect("admin:mailbox_detail", pk)


@action(ADMINISTER)
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Starts a pass over a mailbox whose preview was looked at."""
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    parent = _pass_asked(request, mailbox)
    line = next(line for line in complete([mailbox], [parent])[0].lines if line.parent == parent)
    if line.plan is not None and str(line.plan.pk) != request.POST.get("plan"):
        raise DecisionRefused("There is a newer preview than the one you saw. Look at it, then start the mailbox.")
    child = mailbox_start(mailbox, line.plan, request.user)
    jobs.nudge(child.name, request.user.get_username())
    messages.success(request, f"{parent} of {mailbox.address} is started; its first run begins as soon as a worker is free.")
    return redirect("admin:mailbox_detail", pk)


@page(ADMINISTER)
def choose_user(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the users of Salesforce that may be the mailbox's, and takes the choice."""
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    if request.method == "POST":
        return _user_chosen(request, pk)
    text = request.GET.get("q", mailbox.address).strip()[:254]
    found, trouble = users_for(text)
    return render(
        request,
        "admin/reconciliation/mailbox/user.html",
        f"Salesforce user of {mailbox.address}",
        mailbox=mailbox,
        q=text,
        found=found,
        trouble=trouble,
    )


@action(ADMINISTER)
def _user_chosen(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    mailbox_choose_user(mailbox, request.POST.get("user", ""), request.user)
    mailbox.refresh_from_db()
    messages.success(
        request, f"The mailbox {mailbox.address} is {mailbox.crm_user_name or mailbox.crm_user_id} in Salesforce from the next run on."
    )
    return redirect("admin:mailbox_detail", pk)


@action(ADMINISTER)
def set_group(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(mailboxes_listed(), pk=pk)
    group = MailboxGroup.objects.filter(pk=whole_number(request.POST.get("group", "")) or 0).first()
    group_assign([mailbox.pk], group, request.user)
    messages.success(request, f"Group: {group or 'none'}. Its settings hold where {mailbox.address} has none of its own.")
    return redirect("admin:mailbox_detail", pk)
