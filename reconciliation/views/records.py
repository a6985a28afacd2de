"""Records: one search over everything ever seen, a page and a history for each, and those without an owner."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from connectors.contract import Ref
from reconciliation import jobs
from reconciliation.core.counting import bent
from reconciliation.core.values import is_same
from reconciliation.models import Binding, Case, SyncPass
from reconciliation.passes.organisations import ORGANISATION, OWNER
from reconciliation.roles import OPERATE
from reconciliation.selectors import bounded_count, names_of_users, pass_named
from reconciliation.selectors import without_owner as rows_without_owner
from reconciliation.services.imports import PASS as IMPORTS_PASS
from reconciliation.services.mailbox_copies import Copies, copies_of
from reconciliation.services.owners import near_matches, owners_recheck
from reconciliation.services.pair_records import PairNow, explain_pair, pass_of, passes_about, ref_of, search_pairs
from reconciliation.services.record_history import earliest_known, timeline
from reconciliation.services.record_history import field_history as history_of_field
from reconciliation.services.records import Search, home_of, last_tombstone, meant, name_of, next_look, read_now, refs_of, search
from reconciliation.services.remap_questions import last_answered
from reconciliation.services.why import Explanation, explain_organisation
from reconciliation.store import decode
from reconciliation.templatetags.sync import named, said, shown
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import ROWS_A_PAGE, action, is_local, page, paginate, render

PASS = "organisations"


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    """The one search: present and former names, e-mails and ids."""
    text, passes = request.GET.get("q", "").strip()[:300], _passes()
    result = _searched(passes, text)
    return render(request, "admin/reconciliation/record/list.html", "Records", q=text, result=result, is_connected=bool(passes))


def _passes() -> list[SyncPass]:
    return list(SyncPass.objects.whole().select_related("crm", "peer", "mapping").order_by("pk"))


def _searched(passes: list[SyncPass], text: str) -> Search:
    """Returns what every pass knows under this text; what two-way passes found is not asked of the CRM once more."""
    sync_pass = next((p for p in passes if p.name == PASS), None)
    pairs = search_pairs(text, passes) if text else []
    one_way = search(sync_pass, text, asks_crm=not pairs) if sync_pass and text else Search([])
    return Search([*one_way.found, *pairs], one_way.is_cut)


FOUND_COLUMNS = (
    Column("record", lambda it: str(it.ref)),
    Column("name", lambda it: it.name),
    Column("state", lambda it: it.word),
    Column("why it matched", lambda it: it.why or "by its name"),
)


@page()
def export_list(request: HttpRequest) -> StreamingHttpResponse:
    text = request.GET.get("q", "").strip()[:300]
    return export_rows(request, "records", FOUND_COLUMNS, _searched(_passes(), text).found)


def _asked(system: str, object_type: str, record_id: str) -> tuple[SyncPass, Ref]:
    """Returns the pass and the record that an address names. Raises Http404 for what is no record of ours."""
    pair = ref_of(system, object_type, record_id)
    passes = passes_about(pair) if pair is not None else _passes()
    of_pair = pass_of(pair, passes) if pair is not None else None
    if pair is not None and of_pair is not None:
        of_pair.goes_to_mailboxes = any(p.is_over_mailboxes for p in passes)  # type: ignore[attr-defined]  # known without a query
        return of_pair, pair
    sync_pass = next((p for p in passes if p.name == PASS), None)
    refs = refs_of(sync_pass, f"{system}:{object_type}:{record_id}") if sync_pass else []
    if not refs:
        raise Http404
    return sync_pass, refs[0]  # type: ignore[return-value]


@page()
def show(request: HttpRequest, system: str, object_type: str, record_id: str) -> HttpResponse:
    """Where one record stands now: both sides, the conditions, the link, the cases, and when it is looked at next."""
    sync_pass, ref = _asked(system, object_type, record_id)
    if sync_pass.is_two_way:
        return _show_pair(request, sync_pass, ref)
    home = home_of(sync_pass, ref)
    if home != ref:
        return redirect("admin:record_detail", home.system, home.object_type, home.id)
    if ref.object_type != ORGANISATION:
        record, trouble = read_now(sync_pass, ref)
        name = str(record.fields.get("name") or "") if record is not None else ""
        title = _title(name or name_of(sync_pass, ref), ref)
        return render(request, "admin/reconciliation/record/other.html", title, ref=ref, record=record, trouble=trouble)
    it = explain_organisation(sync_pass, record_id)
    name = str(it.record.fields.get("name") or "") if it.record is not None else ""
    name = name or (it.binding.name if it.binding else "") or name_of(sync_pass, ref)
    is_linked = it.binding is not None and not it.binding.is_tombstone
    return render(
        request,
        "admin/reconciliation/record/detail.html",
        _title(name, ref),
        ref=ref,
        it=it,
        fields=_field_rows(sync_pass, it),
        columns=_plugin_rows(it),
        tombstone=None if is_linked else last_tombstone(sync_pass, record_id),
        next_look=next_look(sync_pass, it),
        sync_pass=sync_pass,
    )


def _show_pair(request: HttpRequest, sync_pass: SyncPass, ref: Ref) -> HttpResponse:
    it = explain_pair(sync_pass, ref)
    stone = it.binding.tombstones.order_by("-pk").first() if it.binding is not None and not it.is_linked else None
    if stone is not None:
        stone.sync_pass = sync_pass  # with its systems, as it was read
    title = _title(it.name, ref)
    is_person = ref.system == sync_pass.crm.system and sync_pass.name == IMPORTS_PASS and it.crm is not None
    may_import = is_person and not it.is_linked and request.user.has_perm(OPERATE)
    return render(
        request,
        "admin/reconciliation/record/pair.html",
        title,
        ref=ref,
        it=it,
        sync_pass=sync_pass,
        tombstone=stone,
        may_import=may_import,
        copies=_copies(sync_pass, ref, it),
        matches_of=_matches_of(sync_pass, ref, it),
        taken_back=_taken_back(sync_pass, ref, it) if request.user.has_perm(OPERATE) else None,
    )


def _copies(sync_pass: SyncPass, ref: Ref, it: PairNow) -> Copies | None:
    """Returns in which mailboxes the CRM's record stands, None where no pass goes to mailboxes."""
    if not sync_pass.goes_to_mailboxes:  # type: ignore[attr-defined]  # set by `_asked`
        return None
    return copies_of(Ref.parse(it.binding.crm_ref) if it.is_linked and it.binding is not None else ref)


def _matches_of(sync_pass: SyncPass, ref: Ref, it: PairNow) -> str:
    """Returns the prospect whose matches may be found from the page of a record, "" for none: its own, that of its link, or
    the one that an open question is about. A link may be moved only while the policy allows it
    (S2.5); a question may be answered by keeping it, always."""
    if sync_pass.name != IMPORTS_PASS:
        return ""
    asked = next((case.peer_id for case in it.cases if case.is_open and case.kind == Case.Kind.REMAP and case.peer_id), "")
    if it.is_linked and it.binding is not None:
        return asked or (it.binding.peer_id if it.binding.allows_remap else "")  # type: ignore[attr-defined]  # set by `binding_of`
    return ref.id if ref.system == sync_pass.peer.system else asked


def _taken_back(sync_pass: SyncPass, ref: Ref, it: PairNow) -> Case | None:
    """Returns the case whose answer can be taken back from the page of a prospect."""
    if sync_pass.name != IMPORTS_PASS or ref.system != sync_pass.peer.system:
        return None
    binding = it.binding if it.is_linked else None
    if binding is not None and not binding.allows_remap:  # type: ignore[attr-defined]  # set by `binding_of`
        return None
    return next(iter(last_answered(it.cases, binding)), None)


def _title(name: str, ref: Ref) -> str:
    """Returns what a page about a record is called, also when the record has no name that could be read."""
    unnamed = f"{ref.object_type.capitalize()} {ref.id}"
    return named(name or unnamed, ref.id)


def _field_rows(sync_pass: SyncPass, it: Explanation) -> list[dict[str, Any]]:
    """Returns a row per mapped field: both sides now, and what both held at the last agreement."""
    crm = it.record.fields if it.record is not None else {}
    peer = it.account.fields if it.account is not None else {}
    base = it.binding
    owners = {str(o) for o in (peer.get(OWNER), base.peer_base.get(OWNER) if base is not None else None) if o}
    users = names_of_users(sync_pass.peer, owners)
    titles = (sync_pass.crm.schema_cache or {}).get(sync_pass.mapping.crm_object, {})
    rows = []
    for rule in it.rules:
        left, right = crm.get(rule.crm_field), peer.get(rule.peer_field)
        agreed_left = base.crm_base.get(rule.crm_field) if base is not None else None
        agreed_right = base.peer_base.get(rule.peer_field) if base is not None else None
        rows.append(
            {
                "rule": rule,
                "title": (titles.get(rule.crm_field) or {}).get("title") or rule.crm_field,
                "left": left,
                "right": users.get(str(right), right) if rule.peer_field == OWNER else right,
                "crm_base": agreed_left,
                "peer_base": users.get(str(agreed_right), agreed_right) if rule.peer_field == OWNER else agreed_right,
                "crm_moved": it.record is not None and base is not None and not is_same(left, decode(agreed_left)),
                "peer_moved": it.account is not None and base is not None and not is_same(right, decode(agreed_right)),
            }
        )
    return rows


def _plugin_rows(it: Explanation) -> list[tuple[str, Any]]:
    """Returns the plugin's own columns, whose writes have a history too."""
    if it.record is None:
        return []
    titles = {"sync": "Sync to Outreach", "error": "Outreach Sync Error", "duplicate": "Outreach Duplicate"}
    titles |= {"peer_id": "Outreach Id", "peer_url": "Outreach URL"}
    return [(title, getattr(it.columns, name), it.record.fields.get(getattr(it.columns, name))) for name, title in titles.items()]  # type: ignore[misc]


HISTORY_COLUMNS = (
    Column("when", lambda e: e.at),
    Column("what", lambda e: e.what),
    Column("outcome", lambda e: e.word),
    Column("why", lambda e: e.sentence),
    Column("before", lambda e: said(e.operation.before) if e.operation else ""),
    Column("after", lambda e: said(e.operation.after) if e.operation else ""),
    Column("who", lambda e: e.who or "the pass"),
    Column("run", lambda e: e.run_id),
)
CHANGE_COLUMNS = (
    Column("when", lambda c: c.at),
    Column("where", lambda c: c.system),
    Column("before", lambda c: shown(c.before)),
    Column("after", lambda c: shown(c.after)),
    Column("how", lambda c: c.how),
    Column("who", lambda c: c.who),
    Column("why", lambda c: c.why),
    Column("lost a conflict", lambda c: shown(c.before) if c.is_conflict else ""),
    Column("rule", lambda c: f"{c.rule.crm_field} → {c.rule.peer_field}" if c.rule else ""),
    Column("mapping version", lambda c: c.mapping_version),
    Column("write", lambda c: c.operation.pk),
    Column("taken back", lambda c: c.operation.undone_at),
)


@page()
def export_history(request: HttpRequest, system: str, object_type: str, record_id: str) -> StreamingHttpResponse:
    sync_pass, ref = _asked(system, object_type, record_id)
    return export_rows(request, "history", HISTORY_COLUMNS, timeline(sync_pass, ref).entries)


@page()
def export_field(request: HttpRequest, system: str, object_type: str, record_id: str, name: str) -> StreamingHttpResponse:
    sync_pass, ref = _asked(system, object_type, record_id)
    return export_rows(request, "field-history", CHANGE_COLUMNS, history_of_field(sync_pass, ref, name[:120]).changes)


@page()
def show_history(request: HttpRequest, system: str, object_type: str, record_id: str) -> HttpResponse:
    """Everything that happened to one record, newest first."""
    sync_pass, ref = _asked(system, object_type, record_id)
    found = timeline(sync_pass, ref)
    title = f"History of {_title(name_of(sync_pass, ref), ref)}"
    rows = Paginator(found.entries, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "admin/reconciliation/record/history.html", title, ref=ref, rows=rows, is_cut=found.is_cut)


@page()
def show_field(request: HttpRequest, system: str, object_type: str, record_id: str, name: str) -> HttpResponse:
    """Who changed one field, when, from where, by which rule and why."""
    sync_pass, ref = _asked(system, object_type, record_id)
    history = history_of_field(sync_pass, ref, name[:120])
    called = name_of(sync_pass, ref)
    titles = (sync_pass.crm.schema_cache or {}).get(sync_pass.mapping.crm_object, {})
    field = (titles.get(history.crm_field) or {}).get("title") or history.crm_field or history.peer_field
    rows = Paginator(history.changes, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "admin/reconciliation/record/field.html",
        f"{field} of {_title(called, ref)}",
        ref=ref,
        history=history,
        rows=rows,
        earliest=earliest_known(history),
        field=name,
        called=called,
        sync_pass=sync_pass,
    )


OWNER_COLUMNS = (
    Column("organisation", lambda b: b.name),
    Column("Workbooks id", lambda b: b.crm_id),
    Column("Assigned To", lambda b: b.owner_text),
    Column("near matches in Outreach", lambda b: ", ".join(b.near)),
    Column("account", lambda b: b.peer_id),
    Column("address", lambda b: b.peer_url),
    Column("last synced", lambda b: b.synced_at),
)


@page()
def why(request: HttpRequest) -> HttpResponse:
    """An address that explains one record, however it is named: it leads to that record's page, or to the search."""
    text, sync_pass = request.GET.get("q", "").strip()[:300], pass_named(PASS)
    ref = meant(sync_pass, text) if sync_pass and text else None
    if ref is not None:
        return redirect("admin:record_detail", ref.system, ref.object_type, ref.id)
    if text:
        messages.info(request, f"“{text}” names no one record that is known. This is what the search finds.")
    return redirect(f"{reverse('admin:record_list')}?{urlencode({'q': text})}")


def _add_near(rows: list[Binding]) -> None:
    found = near_matches(rows[0].sync_pass.peer, (b.owner_text for b in rows))
    for row in rows:
        row.near = found.get(row.owner_text, [])  # type: ignore[attr-defined]


@page()
def export_without_owner(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "without-owner", OWNER_COLUMNS, rows_without_owner(), prepare=_add_near)


@page()
def without_owner(request: HttpRequest) -> HttpResponse:
    rows = rows_without_owner()
    title = f"Records without owner: {bounded_count(rows)}"
    shown = paginate(request, rows)
    near = near_matches(shown[0].sync_pass.peer, (b.owner_text for b in shown)) if shown else {}
    lines = [(b, near.get(b.owner_text, [])) for b in shown]
    return render(request, "admin/reconciliation/record/without_owner.html", title, rows=shown, lines=lines)


@action(OPERATE)
def check_owners(request: HttpRequest) -> HttpResponse:
    """Looks again for the owners, as the daily check does."""
    sync_pass = pass_named(PASS)
    if sync_pass is None:
        messages.warning(request, "Nothing is connected yet.")
        return redirect("admin:owner_list")
    found = owners_recheck(sync_pass, request.user.get_username())
    if found:
        jobs.nudge(sync_pass.name, request.user.get_username())
    if found:
        messages.success(
            request,
            f"{found} of them {bent(found, 'is an Outreach username', 'are Outreach usernames')} by now; the next run sets the owners.",
        )
    else:
        messages.success(request, "No change: none is an Outreach username.")
    return redirect("admin:owner_list")


@action(OPERATE)
def refresh_cases(request: HttpRequest) -> HttpResponse:
    """Looks at the organisations of open cases again, as the hourly check does, and goes back to the queue."""
    jobs.ask_for("refresh_cases", "organisations", request.user.get_username())
    messages.success(request, "Open cases are being compared with Workbooks; those that were decided there close by themselves.")
    back = request.POST.get("back", "")
    return redirect(back if is_local(back) else "admin:duplicate_list")
