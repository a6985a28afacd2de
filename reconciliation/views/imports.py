"""Imports of Salesforce leads and contacts: the list, three ways to choose, a look before the start, progress, failures."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, reverse

from connectors.errors import ConnectorError
from connectors.text import clean
from reconciliation import jobs
from reconciliation.core.counting import are, bent
from reconciliation.engine.importing import allows_choice
from reconciliation.filters import ImportFilter, ImportRowFilter
from reconciliation.models import Import, ImportRow, Policy, Run, SyncPass
from reconciliation.roles import OPERATE
from reconciliation.services.import_choice import MOST_BYTES, MOST_NAMED, Choice, ImportRefused, choice_of, choice_of_file
from reconciliation.services.imports import (
    Counts,
    PassAtWork,
    choice_of_view,
    count_outcomes,
    import_counts,
    import_go_on,
    import_one,
    import_preview,
    import_retry,
    import_search,
    import_start,
    import_views,
    imports_pass,
    may_not_start,
    same_email,
)
from reconciliation.services.policy import allows_remap
from reconciliation.views.exports import Column, export_rows
from reconciliation.views.page import action, is_local, or_told, page, paginate, render, whole_number

CHOICE_KEPT_SECONDS = 3600
MOST_RUNS = 20  # named on a page
ROW_FILTERS = ("state", "reason", "name")
WAYS = {"search": "Search", "view": "List view", "csv": "File"}
NOT_CONNECTED = "Salesforce and Outreach are not both connected yet, so there is nothing to import from."
LIST_COLUMNS = (
    Column("import", lambda i: i.pk),
    Column("what", lambda i: i.title),
    Column("chosen by", lambda i: i.get_source_display()),
    Column("started by", lambda i: i.started_by_name),
    Column("state", lambda i: i.get_state_display()),
    Column("began", lambda i: i.created_at),
    Column("ended", lambda i: i.ended_at),
    Column("rows", lambda i: i.total),
    Column("done", lambda i: i.done),
    *(Column(name, lambda i, name=name: i.outcomes[name]) for name in ("created", "linked", "present", "failed")),
    Column("same e-mail address", lambda i: i.get_policy_word()),
    Column("note", lambda i: i.note),
)
ROW_COLUMNS = (
    Column("row", lambda r: r.number),
    Column("chosen", lambda r: r.given),
    Column("Salesforce object", lambda r: r.crm_type),
    Column("Salesforce id", lambda r: r.crm_id),
    Column("name", lambda r: r.name),
    Column("e-mail address", lambda r: r.email),
    Column("outcome", lambda r: r.get_state_display()),
    Column("reason", lambda r: r.get_reason_display()),
    Column("what happened", lambda r: r.sentence),
    Column("prospect", lambda r: r.peer_id),
    Column("decided since", lambda r: "" if r.case is None or r.case.is_open else r.case.get_decision_word()),
)


def _the_pass() -> SyncPass:
    sync_pass = imports_pass()
    if sync_pass is None:
        raise ImportRefused(NOT_CONNECTED)
    return sync_pass


# --- the list ---------------------------------------------------------------------------------------------------------


@page()
def show_list(request: HttpRequest) -> HttpResponse:
    chosen = ImportFilter(request.GET, Import.objects.all())
    rows = paginate(request, chosen.qs)
    count_outcomes(rows)
    return render(
        request, "admin/reconciliation/import/list.html", "Imports", filter=chosen, rows=rows, is_connected=imports_pass() is not None
    )


@page()
def export_list(request: HttpRequest) -> StreamingHttpResponse:
    return export_rows(request, "imports", LIST_COLUMNS, ImportFilter(request.GET, Import.objects.all()).qs, prepare=count_outcomes)


# --- choosing ---------------------------------------------------------------------------------------------------------


@page(OPERATE)
def new(request: HttpRequest) -> HttpResponse:
    """Three ways to choose. Salesforce is asked only for what was asked for here."""
    by, q = request.GET.get("by", "search"), request.GET.get("q", "").strip()[:300]
    sync_pass, trouble = imports_pass(), ""
    found, views = [], []
    try:
        if sync_pass is not None and by == "search" and q:
            found = import_search(sync_pass, q)
        elif sync_pass is not None and by == "view":
            views = import_views(sync_pass)
    except ImportRefused as refusal:
        trouble = str(refusal)
    except ConnectorError as error:
        trouble = f"{error.sentence}. {error.remedy}"
    return render(
        request,
        "admin/reconciliation/import/new.html",
        "New import",
        by=by if by in WAYS else "search",
        ways=WAYS,
        q=q,
        found=found,
        views=views,
        trouble=trouble,
        is_connected=sync_pass is not None,
        why_not=may_not_start(sync_pass) if sync_pass is not None else "",
    )


@page(OPERATE)
def preview(request: HttpRequest) -> HttpResponse:
    """Shows what would be imported. What was chosen is kept for an hour, so that the page has an address of its own and can
    be opened again; the rows go back with the start, and are read again."""
    if request.method == "POST":
        back = request.POST.get("back", "")
        return or_told(request, back if is_local(back) else reverse("admin:import_new"), lambda: _keep_choice(request))
    return or_told(request, reverse("admin:import_new"), lambda: _show_preview(request))


def _keep_choice(request: HttpRequest) -> HttpResponse:
    source = request.POST.get("source", "")
    try:
        sync_pass = _the_pass()
        title, choice = _choice(request, sync_pass, source)
    except ImportRefused as refusal:
        messages.warning(request, str(refusal))
        return redirect(f"{reverse('admin:import_new')}?{urlencode({'by': source if source in WAYS else 'search'})}")
    kept = SessionStore()  # a row of its own beside the log-in's, which each page reads; it ends by itself
    kept["import"] = {"user": request.user.pk, "source": source, "title": title, **choice.as_dict()}
    kept.set_expiry(CHOICE_KEPT_SECONDS)
    kept.create()
    return redirect(f"{reverse('admin:import_preview')}?{urlencode({'chosen': kept.session_key})}")


def _show_preview(request: HttpRequest) -> HttpResponse:
    key = request.GET.get("chosen", "")[:40]
    kept = SessionStore(key).get("import", {}) if key.isalnum() else {}
    if kept.get("user") != request.user.pk:
        raise ImportRefused("That choice is not kept any more. Choose again.")
    sync_pass, choice = _the_pass(), Choice.from_dict(kept)
    return render(
        request,
        "admin/reconciliation/import/preview.html",
        "What would be imported",
        source=kept["source"],
        title_given=kept["title"],
        preview=import_preview(sync_pass, choice),
        bad=choice.bad[:MOST_NAMED],
        more_bad=max(0, len(choice.bad) - MOST_NAMED),
        is_choosing=same_email() == Policy.SameEmail.CHOOSE,
        policy=Policy.SameEmail(same_email()).label,
        why_not=may_not_start(sync_pass),
    )


def _choice(request: HttpRequest, sync_pass: SyncPass, source: str) -> tuple[str, Choice]:
    """Returns what was chosen by one of the three ways, and what that is called. Raises ImportRefused, ConnectorError."""
    if source == Import.Source.VIEW:
        return choice_of_view(sync_pass, request.POST.get("view", ""))
    if source == Import.Source.CSV:
        given = request.FILES.get("file")
        if given is None:
            raise ImportRefused("Choose a file first.")
        return PurePath(given.name or "").name[:200] or "A file", choice_of_file(given.read(MOST_BYTES + 1))
    chosen = request.POST.getlist("chosen")
    if not chosen:
        raise ImportRefused("Choose at least one lead or contact.")
    return f"Search “{request.POST.get('q', '')[:100]}”", choice_of(chosen)


@action(OPERATE)
def start(request: HttpRequest) -> HttpResponse:
    source = request.POST.get("source", "")
    title = clean(request.POST.get("title", "").strip())[0] or "An import"
    choice = choice_of(request.POST.get("text", "").splitlines())
    sure = source if source in Import.Source.values else Import.Source.CSV
    batch = import_start(_the_pass(), choice, request.user, source=sure, title=title)
    jobs.ask_for("carry_import", batch.pk)
    messages.success(
        request,
        f"{are(batch.total, 'row')} being imported. You may leave this page; it shows how far it is.",
    )
    return redirect("admin:import_detail", batch.pk)


@action(OPERATE)
def start_one(request: HttpRequest) -> HttpResponse:
    """Imports one lead or contact at once (S2.13); its page offers the remap where its address belongs to a prospect."""
    try:
        row = import_one(_the_pass(), request.POST.get("given", "").strip()[:300], request.user)
    except PassAtWork as later:
        jobs.ask_for("carry_import", later.batch.pk)
        messages.success(request, "The pass is writing just now. The import begins as soon as it is done.")
        return redirect("admin:import_detail", later.batch.pk)
    who = row.name or row.given
    if row.state == ImportRow.State.FAILED:
        messages.warning(request, f"“{who}” was not imported: {row.get_reason_display()}.")
    else:
        messages.success(request, f"“{who}”: {row.get_state_display().lower()}.")
    return redirect("admin:import_detail", row.batch_id)


# --- one import -------------------------------------------------------------------------------------------------------


def _rows(batch: Import, asked: QueryDict, *, has_failed: bool) -> ImportRowFilter:
    """Returns the rows that the filter bar asks for: where somebody asked for none, those that failed, if any did."""
    given = asked.copy()
    if has_failed and not any(name in given for name in ROW_FILTERS):
        given["state"] = ImportRow.State.FAILED
    return ImportRowFilter(given, batch.rows.select_related("case"))


@page()
def show(request: HttpRequest, pk: int) -> HttpResponse:
    batch = get_object_or_404(Import.objects.select_related("sync_pass__crm", "sync_pass__peer"), pk=pk)
    counts = import_counts(batch)
    chosen = _rows(batch, request.GET, has_failed=counts.failed > 0)
    rows = paginate(request, chosen.qs)
    is_off = _is_remap_off(counts)
    matches = {row.pk: "" if is_off and not _is_open(row) else _matches(row) for row in rows}
    one = rows[0] if batch.total == 1 and rows else None
    return render(
        request,
        "admin/reconciliation/import/detail.html",
        f"Import {batch.pk}: {batch.title}",
        batch=batch,
        counts=counts,
        is_under_way=_is_under_way(batch),
        policy=batch.get_policy_word(),
        runs=Run.objects.filter(pk__in=batch.rows.order_by().values("run").distinct()).order_by("pk")[:MOST_RUNS],
        filter=chosen,
        rows=rows,
        lines=[(row, _crm_url(batch, row), matches[row.pk]) for row in rows],
        is_remap_off=is_off,
        offer=one if one is not None and _is_to_choose(batch, one) and not is_off else None,
        offer_url=matches[one.pk] if one is not None else "",
        many_url="" if is_off else _many(batch, counts),
    )


def _is_remap_off(counts: Counts) -> bool:
    """Tells whether rows ask for a choice that the policy of this moment prevents, whatever it said when the import was started
    (S2.5): what is left to do is to close the questions that are open."""
    return any(group.reason == ImportRow.Reason.SAME_EMAIL for group in counts.groups) and not allows_remap()


def _is_open(row: ImportRow) -> bool:
    return row.case is not None and row.case.is_open


def _is_under_way(batch: Import) -> bool:
    return batch.state in (Import.State.WAITING, Import.State.RUNNING)


def _is_to_choose(batch: Import, row: ImportRow) -> bool:
    is_open = row.case is None or row.case.is_open
    return allows_choice(batch) and is_open and (row.state, row.reason) == (ImportRow.State.FAILED, ImportRow.Reason.SAME_EMAIL)


def _many(batch: Import, counts: Counts) -> str:
    """Returns where several prospects of an import are decided by one rule, "" where fewer are left."""
    left = sum(group.n - group.decided for group in counts.groups if group.reason == ImportRow.Reason.SAME_EMAIL)
    return f"{reverse('admin:prospect_bulk')}?import={batch.pk}" if left > 1 else ""


def _crm_url(batch: Import, row: ImportRow) -> str:
    """Returns the address of the record's page in Salesforce, "" where no template is set."""
    if not row.crm_id:
        return ""
    return batch.sync_pass.crm.page_address_template.replace("{object}", row.crm_type).replace("{id}", row.crm_id)


def _matches(row: ImportRow) -> str:
    """Returns where a prospect's Salesforce matches are found (S2.17), "" where it has none or nobody has to choose."""
    if not row.peer_id or (row.state, row.reason) != (ImportRow.State.FAILED, ImportRow.Reason.SAME_EMAIL):
        return ""
    try:
        return f"{reverse('admin:prospect_matches', args=[row.peer_id])}?import={row.batch_id}"
    except NoReverseMatch:  # an id that no address can hold
        return ""


@page()
def progress(request: HttpRequest, pk: int) -> JsonResponse:
    batch = get_object_or_404(Import, pk=pk)
    counts = import_counts(batch)
    return JsonResponse(
        {
            "import": batch.pk,
            "word": batch.get_state_display(),
            "seen": batch.total - counts.waiting,
            "total": batch.total,
            "created": counts.created,
            "linked": counts.linked,
            "present": counts.present,
            "kept": counts.kept,
            "failed": counts.failed,
            "words": _in_words(counts),
            "is_running": _is_under_way(batch),
        }
    )


def _in_words(counts: Counts) -> str:
    parts = [
        (counts.created, "created"),
        (counts.linked, "linked"),
        (counts.present, bent(counts.present, "was linked already", "were linked already")),
    ]
    parts += [(counts.kept, "kept on another CRM ID"), (counts.failed, "failed")]
    return ", ".join(f"{n:,} {word}" for n, word in parts if n)


@page()
def export(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    batch = get_object_or_404(Import, pk=pk)
    has_failed = batch.rows.filter(state=ImportRow.State.FAILED).exists()
    return export_rows(request, f"import-{batch.pk}-rows", ROW_COLUMNS, _rows(batch, request.GET, has_failed=has_failed).qs)


@action(OPERATE)
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Tries failed rows again: the chosen ones, those of a reason, or all."""
    batch = get_object_or_404(Import.objects.select_related("sync_pass__crm", "sync_pass__peer"), pk=pk)
    reason, is_all = request.POST.get("reason", ""), request.POST.get("all") == "1"
    chosen = [row for row in map(whole_number, request.POST.getlist("row")) if row is not None]
    n = import_retry(batch, request.user, reason=reason, row_ids=None if reason or is_all else chosen)
    if n:
        jobs.ask_for("carry_import", batch.pk)
        messages.success(request, f"{are(n, 'row')} tried again.")
    else:
        messages.warning(request, "Choose at least one row that failed.")
    return redirect("admin:import_detail", batch.pk)


@action(OPERATE)
def go_on(request: HttpRequest, pk: int) -> HttpResponse:
    batch = get_object_or_404(Import.objects.select_related("sync_pass__crm", "sync_pass__peer"), pk=pk)
    if import_go_on(batch, request.user):
        jobs.ask_for("carry_import", batch.pk)
        messages.success(request, "The import goes on.")
    else:
        messages.warning(request, "This import was not interrupted, or goes on already.")
    return redirect("admin:import_detail", batch.pk)
