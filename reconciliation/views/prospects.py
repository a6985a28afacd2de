"""Prospects: the list, the records of Salesforce that one may belong to, the choice, and pulling data down afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from connectors.contract import Ref
from reconciliation import jobs
from reconciliation.core.counting import are
from reconciliation.core.matching import Rule
from reconciliation.filters import ProspectFilter
from reconciliation.models import Binding, SyncPass
from reconciliation.roles import OPERATE
from reconciliation.selectors import last_remap, mark_prospects, pass_named, prospects_listed, prospects_pass_and_policy, prospects_unlinked
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.mailbox_copies import copy_linked
from reconciliation.services.matches import PASS, Matches, ProspectGone, find_matches, pass_at_work, prospects_pass, prospects_terms
from reconciliation.services.policy import refuse_unless_remap
from reconciliation.services.pull import NOT_LINKED, Choice, linked, plan_of, pull
from reconciliation.services.remap import bulk_plans, remap, remap_plan
from reconciliation.services.remap_questions import (
    MOST_AT_ONCE,
    asked_prospects,
    link_of,
    questions_of,
    refuse_to_show_matches,
    remap_ask_again,
    remap_close,
    remap_keep,
    remap_keep_linked,
)
from reconciliation.services.sittings import Sitting, sitting_of
from reconciliation.templatetags.sync import named
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import ROWS_A_PAGE, action, or_told, page, paginate, render, whole_number

ACCOUNTS = "accounts"  # the pass that keeps accounts of both systems in agreement
RULES: dict[str, Rule] = {"contact": "contact", "latest": "latest", "keep": "keep"}
RULE_WORDS = {"contact": "Prefer the Contact", "latest": "Take the record changed last", "keep": "Keep all present IDs"}
COLUMNS = (
    Column("prospect", lambda b: b.name),
    Column("Outreach id", lambda b: b.peer_id),
    Column("Salesforce object", lambda b: b.crm_type),
    Column("Salesforce id", lambda b: b.crm_id),
    Column("state", lambda b: b.state_word),
    Column("how", lambda b: b.how),
    Column("linked since", lambda b: b.bound_at),
    Column("last agreement", lambda b: b.synced_at),
)
COMPARED_AT_ONCE = 4  # candidates beside the prospect


# --- the list -------------------------------------------------------------------------------------------------------


def _chosen(request: HttpRequest, sync_pass: SyncPass | None) -> ProspectFilter:
    return ProspectFilter(request.GET, prospects_listed(sync_pass))


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    """Every prospect that is or was linked, by its link; those that wait for a choice without a link stand before them."""
    sync_pass, is_choosing = prospects_pass_and_policy()
    chosen = _chosen(request, sync_pass)
    rows = paginate(request, chosen.qs)
    mark_prospects(rows)
    text = request.GET.get("q", "").strip()[:300]
    is_first = rows.number == 1 and request.GET.get("state", "") in ("", "asked")
    unlinked = prospects_unlinked(sync_pass, text) if sync_pass is not None and is_first else []
    return render(
        request,
        "admin/reconciliation/prospect/list.html",
        "Prospects",
        filter=chosen,
        rows=rows,
        unlinked=unlinked,
        allows_remap=is_choosing,
        is_connected=sync_pass is not None,
    )


@page()
def export(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "prospects", COLUMNS, _chosen(request, pass_named(PASS)).qs, prepare=mark_prospects)


@action(OPERATE)
def keep_all(request: HttpRequest) -> HttpResponse:
    """Closes the questions that the policy lets nobody answer any more: each linked prospect stays on its present CRM ID."""
    n = remap_keep_linked(request.user)
    messages.success(request, f"{n} prospect{'s stay on their' if n != 1 else ' stays on its'} present CRM ID.")
    return redirect("admin:prospect_list")


# --- matches and the choice -----------------------------------------------------------------------------------------


def _import(request: HttpRequest) -> int | None:
    return whole_number((request.POST if request.method == "POST" else request.GET).get("import", ""))


def _address(name: str, sitting: Sitting, peer_id: str, **more: str) -> str:
    asked = {**({"import": str(sitting.import_id)} if sitting.import_id is not None else {}), **more}
    return reverse(f"admin:{name}", args=[peer_id]) + (f"?{urlencode(asked)}" if asked else "")


def _way_on(sitting: Sitting) -> str:
    """Returns where a sitting goes on: to the next prospect, or back to where it began."""
    if sitting.following:
        return _address("prospect_matches", sitting, sitting.following)
    return reverse("admin:import_detail", args=[sitting.import_id]) if sitting.import_id is not None else reverse("admin:prospect_list")


@page()
def show_matches(request: HttpRequest, peer_id: int) -> HttpResponse:
    """The prospect beside the records it may belong to, read now; each with what choosing it writes. Who may not choose
    reads the same."""
    return or_told(request, reverse("admin:prospect_list"), lambda: _show_matches(request, str(peer_id)))


def _show_matches(request: HttpRequest, peer_id: str) -> HttpResponse:
    sync_pass, terms = prospects_terms()
    try:
        matches = find_matches(sync_pass, peer_id, terms=terms)
    except ProspectGone as gone:
        return _show_gone(request, sync_pass, peer_id, gone)
    refuse_to_show_matches(matches)
    sitting = sitting_of(sync_pass, peer_id, _import(request))
    rows = Paginator(matches.candidates, ROWS_A_PAGE).get_page(request.GET.get("page"))
    plans = [remap_plan(matches, it.type, it.id) for it in rows]
    first = next((plan.stamp for plan in plans if not plan.refusal), "")
    return render(
        request,
        "admin/reconciliation/prospect/matches.html",
        f"Matches of {named(matches.name, peer_id)}",
        matches=matches,
        is_asked=_is_asked(matches, sitting),
        rows=rows,
        plans=plans,
        only=first if sum(not plan.refusal for plan in plans) == 1 else "",
        compared=_compared(matches, list(rows)),
        beside=list(rows)[:COMPARED_AT_ONCE],
        sitting=sitting,
        way_on=_way_on(sitting),
        previous=_address("prospect_matches", sitting, sitting.before) if sitting.before else "",
        following=_address("prospect_matches", sitting, sitting.following) if sitting.following else "",
    )


def _is_asked(matches: Matches, sitting: Sitting) -> bool:
    """Tells whether a question about the prospect is open; the reading of its link says so, or that of its place."""
    return matches.binding.is_asked if matches.binding is not None else sitting.is_asked  # type: ignore[attr-defined]  # annotated


def _show_gone(request: HttpRequest, sync_pass: SyncPass, peer_id: str, gone: ProspectGone) -> HttpResponse:
    """The page of a prospect that is not there any more: a question about it may still be open, and is closed here."""
    questions = questions_of(sync_pass, peer_id, link_of(sync_pass, peer_id))
    if not questions.open:
        raise gone
    sitting = sitting_of(sync_pass, peer_id, _import(request))
    title = f"Matches of {named(questions.open[0].name, peer_id)}"
    template = "admin/reconciliation/prospect/gone.html"
    return render(request, template, title, peer_id=peer_id, why=str(gone), sitting=sitting)


def _compared(matches: Matches, candidates: list[Any]) -> list[dict[str, Any]]:
    """Returns a row per mapped field: the prospect's value, then what each of the first candidates holds for it."""
    beside = candidates[:COMPARED_AT_ONCE]
    names = [name for name in matches.fields if any(name in it.fields for it in beside)]
    rows = []
    for name in names:
        cells = [it.fields.get(name) for it in beside]
        rows.append({"field": name, "own": matches.fields[name], "cells": cells, "differs": any(cell and cell[1] for cell in cells)})
    return rows


@action(OPERATE)
def decide(request: HttpRequest, peer_id: int) -> HttpResponse:
    """Carries the choice out, then offers the data of the chosen record; *keep*, *close* and *later* go on to the next prospect."""
    id_, decision = str(peer_id), request.POST.get("decision", "")
    sync_pass = prospects_pass()
    sitting = sitting_of(sync_pass, id_, _import(request))
    reason = request.POST.get("reason", "").strip()[:1000]
    if decision == "later":
        messages.info(request, f"Prospect {id_} waits on.")
        return redirect(_way_on(sitting))
    if decision == "keep":
        closed = remap_keep(id_, request.user, reason=reason)  # type: ignore[arg-type]
        messages.success(
            request, f"Prospect {id_} stays as it is." + (f" {closed} question{'' if closed == 1 else 's'} closed." if closed else "")
        )
        return redirect(_way_on(sitting))
    if decision == "close":
        n = remap_close(id_, request.user, reason=reason)  # type: ignore[arg-type]
        again = " It opens again when a record that can be chosen turns up." if n else ""
        messages.success(request, f"{n} question{'' if n == 1 else 's'} about prospect {id_} closed: no candidate was left.{again}")
        return redirect(_way_on(sitting))
    if decision == "ask_again":
        n = remap_ask_again(id_, request.user, reason=reason)  # type: ignore[arg-type]
        messages.success(request, f"The answer was taken back: {n} question{' is' if n == 1 else 's are'} open again.")
        return redirect(_address("prospect_matches", sitting, id_))
    choice = request.POST.get("choice", "")
    crm_type, _, crm_id = choice.partition(":")
    if not crm_id:
        messages.warning(request, "Choose one of the records first. Nothing was done.")
        return redirect(_address("prospect_matches", sitting, id_))
    done = remap(
        id_,
        crm_type[:40],
        crm_id[:64],
        move_link=choice in request.POST.getlist("move"),
        by=request.user,  # type: ignore[arg-type]
        reason=reason,
        stamp=request.POST.get(f"stamp-{choice}", "")[:300],
    )
    what = "is linked to" if done.is_first else "belongs to"
    n = done.differing
    differ = f" {n} field{' differs and was' if n == 1 else 's differ and were'} left as {'it is' if n == 1 else 'they are'}."
    differ = differ if n else " All mapped fields agree."
    messages.success(request, f"“{done.name}” {what} {done.crm_type} {done.crm_id} from now on.{differ}")
    return redirect(_address("prospect_sync", sitting, id_))


# --- pulling data down ----------------------------------------------------------------------------------------------


@page(OPERATE)
def sync(request: HttpRequest, peer_id: int) -> HttpResponse:
    """The synchronisation of one prospect: the action, the option to force, the differences, and *Sync*."""
    return _sync(request, PASS, str(peer_id))


@page(OPERATE)
def sync_account(request: HttpRequest, peer_id: int) -> HttpResponse:
    """The same for an account of the pass that keeps accounts of both systems in agreement."""
    return _sync(request, ACCOUNTS, str(peer_id))


@page(OPERATE)
def sync_copy(request: HttpRequest, pk: int) -> HttpResponse:
    """The same for the copy of a Salesforce contact in one mailbox: what differs, why it stays, and forcing it."""
    return _told(request, "admin:mailbox_list", lambda: copy_linked(pk))


def _sync(request: HttpRequest, pass_name: str, peer_id: str) -> HttpResponse:
    back = "admin:prospect_list" if pass_name == PASS else "admin:record_list"
    return _told(request, back, lambda: _link(pass_name, peer_id))


def _told(request: HttpRequest, back: str, link: Callable[[], Binding]) -> HttpResponse:
    do = _carry_out if request.method == "POST" else _show_sync
    where = request.get_full_path() if request.method == "POST" else reverse(back)
    return or_told(request, where, lambda: do(request, link()))


def _link(pass_name: str, peer_id: str) -> Binding:
    """Returns the link with its pass. Raises DecisionRefused where there is none."""
    binding = linked(pass_name, peer_id)
    if binding is None:
        pass_at_work(pass_name)
        raise DecisionRefused(NOT_LINKED)
    return binding


@dataclass(frozen=True, slots=True)
class Action:
    """One direction of a synchronisation, as the form says it."""

    value: str
    title: str


def _choice(asked: Any) -> Choice:
    return Choice(
        source="peer" if asked.get("source") == "peer" else "crm",
        is_forced=asked.get("force") == "1",
        also_blanks=asked.get("force") == "1" and asked.get("blanks") == "1",
    )


def _show_sync(request: HttpRequest, binding: Binding) -> HttpResponse:
    sync_pass, peer_id = binding.sync_pass, binding.peer_id
    plan, is_prospect = plan_of(binding, _choice(request.GET)), sync_pass.name == PASS
    sitting = sitting_of(sync_pass, peer_id, _import(request)) if is_prospect else Sitting(None)
    crm, peer = sync_pass.crm.get_system_display(), sync_pass.peer.get_system_display()
    return render(
        request,
        "admin/reconciliation/prospect/sync.html",
        f"Synchronise {named(plan.name, peer_id)}",
        plan=plan,
        actions=[Action("crm", f"Pull data down from {crm}"), Action("peer", f"Push data up to {crm}")],
        crm=crm,
        peer=peer,
        target=peer if plan.choice.source == "crm" else crm,
        is_prospect=is_prospect,
        home=_home(binding),
        remap=last_remap(plan.binding) if is_prospect else None,
        crm_url=plan.binding.crm_url.replace("{object}", plan.binding.crm_type),
        sitting=sitting,
        way_on=_way_on(sitting),
        allows_remap=is_prospect and binding.allows_remap,
    )


def _home(binding: Binding) -> Ref:
    """Returns the record whose page a synchronisation leads back to. An item of a mailbox has none: its contact has."""
    return Ref.parse(binding.crm_ref if binding.sync_pass.mailbox_id is not None else binding.peer_ref)


def _carry_out(request: HttpRequest, binding: Binding) -> HttpResponse:
    sync_pass, peer_id = binding.sync_pass, binding.peer_id
    is_prospect = sync_pass.name == PASS
    sitting = sitting_of(sync_pass, peer_id, _import(request)) if is_prospect else Sitting(None)
    choice, chosen = _choice(request.POST), request.POST.getlist("field")
    seen = {name: request.POST.get(f"seen-{name}", "")[:16] for name in chosen}
    if not seen:
        messages.warning(request, "Choose at least one field. Nothing was done.")
        return redirect(request.get_full_path())
    reason = request.POST.get("reason", "").strip()[:1000]
    done = pull(sync_pass, peer_id, choice, by=request.user, seen=seen, reason=reason)  # type: ignore[arg-type]
    target = sync_pass.peer if choice.source == "crm" else sync_pass.crm
    if done.fields:
        what = (
            f"{len(done.fields)} fields of “{binding.name}” were" if len(done.fields) != 1 else f"{done.fields[0]} of “{binding.name}” was"
        )
        stays = " Sequences and tasks stay active." if is_prospect else ""
        messages.success(request, f"{what} written in {target.get_system_display()}.{stays}")
    else:
        messages.info(request, "Both sides agree by now; nothing was written.")
    if sitting.following:
        return redirect(_way_on(sitting))
    home = _home(binding)
    return redirect("admin:record_detail", home.system, home.object_type, home.id)


# --- many at once ---------------------------------------------------------------------------------------------------


@page(OPERATE)
def bulk(request: HttpRequest) -> HttpResponse:
    """Many prospects by one rule: what would happen to each first, then what was chosen is carried out as a job."""
    do = _carry_out_bulk if request.method == "POST" else _show_bulk
    return or_told(request, reverse("admin:prospect_list"), lambda: do(request))


def _show_bulk(request: HttpRequest, *, are_ticked: bool = True) -> HttpResponse:
    """Shows what the rule would do. A form that was sent with nothing to do is shown as it was: same import, rule, reason and
    ticks, which is none."""
    sync_pass, terms = prospects_terms()
    refuse_unless_remap(terms.allows_remap)
    rule, import_id = _rule(request), _import(request) or whole_number(request.GET.get("import", ""))
    asked = asked_prospects(sync_pass, import_id)
    found = bulk_plans(sync_pass, asked, RULES[rule], terms=terms) if rule else []
    return render(
        request,
        "admin/reconciliation/prospect/bulk.html",
        "Choose for many prospects",
        rules=RULE_WORDS,
        rule=rule,
        asked=len(asked),
        import_id=import_id,
        found=[(matches, plan) for matches, plan in found if not plan.refusal],
        refused=[(matches, plan) for matches, plan in found if plan.refusal],
        most=MOST_AT_ONCE,
        are_ticked=are_ticked,
        reason=request.POST.get("reason", "").strip()[:1000],
    )


def _rule(request: HttpRequest) -> str:
    """Returns the rule that the form or the address names, "" for none that there is."""
    rule = request.POST.get("rule", "") or request.GET.get("rule", "")
    return rule if rule in RULES else ""


def _carry_out_bulk(request: HttpRequest) -> HttpResponse:
    refuse_unless_remap()
    keys = [key[:400] for key in request.POST.getlist("key") if key.count("|") == 3][:MOST_AT_ONCE]
    if not keys:
        what = "Tick at least one prospect, then carry it out." if _rule(request) else "Choose a rule first."
        messages.warning(request, f"{what} Nothing was done.")
        return _show_bulk(request, are_ticked=False)
    jobs.ask_for("remap_prospects", keys, request.user.pk, request.POST.get("reason", "").strip()[:1000])
    said = f"{are(len(keys), 'prospect')} being worked through; the run at the top of the list says what became of each."
    messages.success(request, said)
    return redirect("admin:run_list")
