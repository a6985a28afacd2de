"""Insta-sync of meetings: which way is in use, its switches, whether our address is reached, and how each calendar is watched."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from reconciliation.core.counting import counted
from reconciliation.core.insta_sync import LEAST_SPACING, MOST_SPACING
from reconciliation.engine import insta
from reconciliation.roles import ADMINISTER, OPERATE
from reconciliation.services import watches
from reconciliation.services.audit import audit
from reconciliation.services.insta_sync import (
    SWITCHES,
    Figures,
    InstaSyncRefused,
    insta_sync_set,
    reach_test,
    standing_and_figures,
    watches_listed,
)
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render, whole_number

TITLES = {"created": "A meeting is created", "updated": "A meeting is changed", "deleted": "A meeting is deleted"}
COLUMNS = (
    Column("mailbox", lambda w: w.mailbox.address),
    Column("state", lambda w: w.get_state_display()),
    Column("why", lambda w: w.why),
    Column("tries that failed", lambda w: w.tries),
    Column("told of last", lambda w: w.told_at),
    Column("made", lambda w: w.made_at),
    Column("renewed", lambda w: w.renewed_at),
    Column("ends", lambda w: w.ends_at),
    Column("next", lambda w: w.due_at),
)


@page()
def show(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    stands, told = standing_and_figures(now)
    return render(
        request,
        "admin/reconciliation/insta_sync/show.html",
        "Insta-sync",
        stands=stands,
        told=told,
        every=counted(insta.look_seconds(stands.own), "second"),
        delays=delays_in_words(told),
        switches=[(name, TITLES[change], getattr(stands.own, name)) for name, change in SWITCHES.items()],
        least=LEAST_SPACING,
        most=MOST_SPACING,
        our_address=watches.address(),
        refusal=watches.address_refusal(),
        reached=watches.reached(stands.own),
        rows=paginate(request, watches_listed()),
    )


def delays_in_words(told: Figures) -> str:
    """Returns how long notices waited until they were carried over, "" where none was."""
    if told.median_seconds is None or told.p95_seconds is None:
        return ""
    return f"half of them within {_span(told.median_seconds)}, 95 of 100 within {_span(told.p95_seconds)}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return counted(max(round(seconds), 1), "second")
    return counted(round(seconds / 60), "minute")


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "insta-sync", COLUMNS, watches_listed())


@action(ADMINISTER)
def save(request: HttpRequest) -> HttpResponse:
    changes = [change for name, change in SWITCHES.items() if request.POST.get(name)]
    distances = {name: whole_number(request.POST.get(name, "").strip()) for name in ("spacing_seconds", "look_seconds")}
    try:
        is_new = insta_sync_set(request.user, changes=changes, **distances)
    except InstaSyncRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    else:
        messages.success(request, "Saved. It holds for everybody, within a minute." if is_new else "Nothing was changed.")
    return redirect("admin:insta_sync")


@action(ADMINISTER)
def test(request: HttpRequest) -> HttpResponse:
    lines = reach_test(request.user, timezone.now())
    if all(line.is_ok for line in lines):
        messages.success(request, "Tested; each line says what was found.")
    else:
        messages.error(request, "Microsoft cannot tell us of changes yet; the lines say why. Calendars are looked at meanwhile.")
    return redirect("admin:insta_sync")


@action(OPERATE)
def retry(request: HttpRequest) -> HttpResponse:
    """Has one watch that failed, or all of them, tried again within a minute."""
    chosen = [number for text in request.POST.getlist("mailbox")[:1000] if (number := whole_number(text)) is not None]
    count = watches.retry(None if request.POST.get("all") else chosen, timezone.now())
    audit(request.user, "retry insta-sync", "Insta-sync", count=count)
    said = f"{counted(count, 'calendar is', 'calendars are')} tried again within a minute."
    messages.success(request, said if count else "None of them waits to be watched.")
    return redirect("admin:insta_sync")
