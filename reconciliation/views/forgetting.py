"""*Forget a person*: who, where their values stand, and the way to blank them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect

from reconciliation import jobs
from reconciliation.models import Forgetting
from reconciliation.roles import ADMINISTER
from reconciliation.services.forgetting import ForgettingRefused, forget_ask, forget_confirm, forget_drop, words_of
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, page, paginate, render

COLUMNS = (
    Column("number", lambda f: f.pk),
    Column("asked", lambda f: f.asked_at),
    Column("by", lambda f: f.asked_by_name),
    Column("state", lambda f: f.get_state_display()),
    Column("ended", lambda f: f.ended_at),
    Column("rows blanked", lambda f: sum(line["rows"] for line in f.counts.get("blanked", []))),
)


@page(ADMINISTER)
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "forgotten", COLUMNS, Forgetting.objects.all())


@page(ADMINISTER)
def show_list(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        try:
            row = forget_ask(request.POST.get("who", "")[:200], request.POST.get("also", "")[:5000], request.user)
        except ForgettingRefused as refusal:
            messages.error(request, f"Nothing was begun. {refusal}")
            return redirect("admin:forget_list")
        jobs.ask_for("forget_count", row.pk)
        return redirect("admin:forget_detail", row.pk)
    rows = paginate(request, Forgetting.objects.all())
    return render(request, "admin/reconciliation/forget/list.html", "Forget a person", rows=rows)


@page(ADMINISTER)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Forgetting, pk=pk)
    title = f"Forget a person: {row.get_state_display().lower()}"
    lines = row.counts.get("found" if row.state == Forgetting.State.COUNTED else "blanked", [])
    return render(request, "admin/reconciliation/forget/detail.html", title, row=row, words=words_of(row), lines=lines)


@action(ADMINISTER)
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Forgetting, pk=pk)
    if request.POST.get("decision") == "forget":
        if forget_confirm(row, request.user):
            jobs.ask_for("forget", row.pk)
            messages.success(request, "The values are being blanked; this page shows how far it is.")
        else:
            messages.warning(request, "It was begun or dropped already.")
    elif request.POST.get("decision") == "drop" and forget_drop(row, request.user):
        messages.success(request, "Nothing was blanked, and what you entered is forgotten.")
    else:
        messages.warning(request, "Choose what to do.")
    return redirect("admin:forget_detail", pk)
