"""Set-up: the checklist from nothing to a pass that is on, the plugin's fields, and the pilot."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from connectors.errors import ConnectorError
from reconciliation import jobs
from reconciliation.core.counting import bent, counted
from reconciliation.engine import gate
from reconciliation.models import Binding, Connection, Run, SyncPass
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.roles import ADMINISTER
from reconciliation.services.audit import audit
from reconciliation.services.connections import connection_test
from reconciliation.services.fields import (
    FieldsRefused,
    fields_choose,
    fields_create,
    fields_read,
    missing_fields,
    plugin_fields,
    to_copy,
)
from reconciliation.services.owner_check import owners_look
from reconciliation.services.setup_steps import plugin_pass, setup_pass, setup_steps
from reconciliation.services.switch_on import (
    MOST_BATCH,
    MOST_PICKED,
    USUAL_BATCH,
    SwitchRefused,
    pass_switch_on,
    pilot_pick,
    pilot_start,
    preview_confirm,
)
from reconciliation.views.page import action, page, render, whole_number

GROUPS = (("organisation", "Organisations"), ("person", "People"))
NOT_CONNECTED = "Connect Workbooks and Outreach first."


@page(ADMINISTER)
def show(request: HttpRequest) -> HttpResponse:
    sync_pass = setup_pass()
    steps = setup_steps(sync_pass)
    return render(
        request,
        "admin/reconciliation/setup/show.html",
        "Set-up",
        steps=steps,
        done=sum(step.is_done for step in steps),
        sync_pass=sync_pass,
        is_real=sync_pass is not None and gate.is_real(sync_pass),
    )


@action(ADMINISTER)
def test(request: HttpRequest) -> HttpResponse:
    """Tests the connections, which reads their fields. The pass between them was made when the second was added."""
    for connection in Connection.objects.order_by("pk"):
        audit(request.user, "test connection", connection.name)
        failing = [line for line in connection_test(connection) if not line.is_ok]
        for line in failing:
            messages.warning(request, f"{connection}: {line.name}. {line.sentence} {line.remedy}".rstrip())
        if not failing:
            messages.success(request, f"{connection} answers.")
    return redirect("admin:setup")


@page(ADMINISTER)
def fields(request: HttpRequest) -> HttpResponse:
    sync_pass = plugin_pass()
    if sync_pass is None:
        messages.warning(request, NOT_CONNECTED)
        return redirect("admin:setup")
    if request.method == "POST":
        return _choose(request, sync_pass)
    rows = plugin_fields(sync_pass)
    missing = [f for f in rows if f.is_missing]
    return render(
        request,
        "admin/reconciliation/setup/fields.html",
        "Fields of the plugin",
        sync_pass=sync_pass,
        groups=[(title, [f for f in rows if f.record_type == kind]) for kind, title in GROUPS],
        missing=missing,
        to_copy=to_copy(missing),
        is_known=bool(sync_pass.crm.schema_cache),
    )


def _choose(request: HttpRequest, sync_pass: SyncPass) -> HttpResponse:
    chosen = {(f.record_type, f.key): request.POST.get(f.name, "")[:120] for f in plugin_fields(sync_pass) if f.name in request.POST}
    # What is still missing and was left open is no refusal of the rest.
    open_ = {(f.record_type, f.key) for f in missing_fields(sync_pass)}
    try:
        n = fields_choose(sync_pass, {k: column for k, column in chosen.items() if column or k not in open_}, request.user)
    except FieldsRefused as refusal:
        messages.error(request, f"Nothing was saved. {refusal}")
    else:
        changed = f"{n} field{'s' if n != 1 else ''} changed; the next run works with them."
        messages.success(request, changed if n else "Nothing was changed.")
    return redirect("admin:setup_fields")


@action(ADMINISTER)
def read_fields(request: HttpRequest) -> HttpResponse:
    sync_pass = plugin_pass()
    if sync_pass is not None:
        fields_read(sync_pass)
        left = len(missing_fields(sync_pass))
        messages.success(request, f"The fields were read; {left or 'none'} of the plugin's {'is' if left == 1 else 'are'} missing.")
    return redirect("admin:setup_fields")


@action(ADMINISTER)
def create_fields(request: HttpRequest) -> HttpResponse:
    sync_pass = plugin_pass()
    if sync_pass is None:
        return redirect("admin:setup")
    known = {f.name: (f.record_type, f.key) for f in plugin_fields(sync_pass)}
    wanted = [known[name] for name in request.POST.getlist("field") if name in known]
    try:
        made = fields_create(sync_pass, wanted, request.user)
    except FieldsRefused as refusal:
        messages.warning(request, str(refusal))
        return redirect("admin:setup_fields")
    if made.created:
        messages.success(request, f"Created in Workbooks: {', '.join(made.created)}.")
    if made.pending:
        messages.warning(request, f"Workbooks is still making {', '.join(made.pending)}. Press Read again in a minute.")
    for sentence in made.refused:
        messages.error(request, f"{sentence} Copy the list below to a Workbooks administrator.")
    return redirect("admin:setup_fields")


@action(ADMINISTER)
def look_at_owners(request: HttpRequest) -> HttpResponse:
    sync_pass = plugin_pass()
    if sync_pass is not None:
        check = owners_look(sync_pass)
        messages.success(request, f"{counted(check.looked_at, 'organisation')} {bent(check.looked_at, 'was', 'were')} looked at.")
    return redirect("admin:setup")


@action(ADMINISTER)
def confirm_preview(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping"), pk=pk)
    try:
        preview_confirm(run, request.user)
    except SwitchRefused as refusal:
        messages.warning(request, str(refusal))
        return redirect("admin:run_detail", pk)
    if run.sync_pass.crm.system != Connection.System.WORKBOOKS:
        messages.success(request, "Noted. The pass may be switched on now.")
        return redirect("admin:setup")
    messages.success(request, "Noted. Pick a few organisations now and try the pass with them.")
    return redirect("admin:setup_pilot")


@page(ADMINISTER)
def pilot(request: HttpRequest) -> HttpResponse:
    sync_pass = plugin_pass()
    if sync_pass is None:
        messages.warning(request, NOT_CONNECTED)
        return redirect("admin:setup")
    entered = ""
    if request.method == "POST":
        entered = request.POST.get("organisations", "")[:10_000]
        try:
            picked = pilot_pick(sync_pass, entered, request.user)
        except SwitchRefused as refusal:
            messages.error(request, str(refusal))
        except ConnectorError as error:
            messages.error(request, f"{error.sentence}. {error.remedy}")
        else:
            messages.success(request, f"{len(picked)} organisation{'s are' if len(picked) != 1 else ' is'} picked.")
            for one in picked:
                if one.sentence:
                    messages.warning(request, f"{one.name} ({one.id}) {one.sentence}.")
            return redirect("admin:setup_pilot")
    chosen = sync_pass.pilot.get("organisations", [])
    bound = Binding.objects.filter(sync_pass=sync_pass, crm_type=ORGANISATION, crm_id__in=[o["id"] for o in chosen], is_tombstone=False)
    accounts = dict(bound.values_list("crm_id", "peer_id"))
    return render(
        request,
        "admin/reconciliation/setup/pilot.html",
        "Pilot",
        sync_pass=sync_pass,
        wanted=gate.preview_wanted(sync_pass),
        picked=[{**o, "account": accounts.get(o["id"], ""), "ref": f"{sync_pass.crm.system}:{ORGANISATION}:{o['id']}"} for o in chosen],
        entered=entered,
        batch=sync_pass.pilot.get("batch", USUAL_BATCH),
        most_batch=MOST_BATCH,
        most_picked=MOST_PICKED,
        runs=list(Run.objects.filter(sync_pass=sync_pass, kind=Run.Kind.PILOT).select_related("sync_pass").order_by("-pk")[:10]),
    )


@action(ADMINISTER)
def run_pilot(request: HttpRequest) -> HttpResponse:
    sync_pass = plugin_pass()
    if sync_pass is None:
        return redirect("admin:setup")
    most = (whole_number(request.POST.get("most_new", "")) or 0) if request.POST.get("what") == "batch" else None
    try:
        ids = pilot_start(sync_pass, request.user, most_new=most)
    except SwitchRefused as refusal:
        messages.warning(request, str(refusal))
        return redirect("admin:setup_pilot")
    jobs.ask_for("pilot", sync_pass.name, request.user.get_username(), list(ids), most)
    messages.success(request, "The pilot begins; its run appears below in a moment.")
    return redirect("admin:setup_pilot")


@action(ADMINISTER)
def switch_on(request: HttpRequest) -> HttpResponse:
    sync_pass = setup_pass()
    if sync_pass is None:
        return redirect("admin:setup")
    if request.POST.get("pass", sync_pass.name) != sync_pass.name:  # the page was older than what somebody else did
        messages.warning(request, f"Nothing was switched on: set-up is at “{sync_pass}” by now.")
        return redirect("admin:setup")
    try:
        pass_switch_on(sync_pass, request.user)
    except SwitchRefused as refusal:
        messages.error(request, f"It stays off. {refusal}")
    else:
        messages.success(request, f"“{sync_pass}” is on; its first run begins within a minute.")
    return redirect("admin:setup")
