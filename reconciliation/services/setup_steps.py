"""The way from nothing to a pass that is on, step by step. Every state is computed from what is there, so that the page can
be left and found again at any time, on any day, by anybody."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from django.db.models import QuerySet

from reconciliation.core.counting import bent, counted
from reconciliation.defaults.accounts import ACCOUNTS_PASS
from reconciliation.defaults.activities import ACTIVITIES_PASS
from reconciliation.engine import gate
from reconciliation.models import Connection, MappingTable, Run, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.services.fields import fields_are_known, plugin_fields
from reconciliation.services.mappings import lint_types
from reconciliation.services.owner_check import owner_columns
from reconciliation.services.owners import near_matches
from reconciliation.services.setup_mailboxes import MAIL_AFTER, mailbox_steps
from reconciliation.services.steps import Act, Step

# Off until somebody wants it, or for good (D32); mailboxes only where nothing else is there to set up.
OPTIONAL = (ACCOUNTS_PASS, ACTIVITIES_PASS, *MAILBOX_PASSES)
CRMS = (Connection.System.WORKBOOKS, Connection.System.SALESFORCE)
MAIL = (Connection.System.MICROSOFT, Connection.System.GOOGLE, Connection.System.EXCHANGE)
WHO = {
    Connection.System.WORKBOOKS: "A Workbooks administrator makes the API key.",
    Connection.System.SALESFORCE: "A Salesforce administrator makes the app and the user it works as.",
    Connection.System.OUTREACH: "An Outreach administrator allows the connection.",
    Connection.System.MICROSOFT: "A Microsoft 365 administrator allows the app.",
    Connection.System.GOOGLE: "A Google Workspace administrator allows the service account, or the app.",
    Connection.System.EXCHANGE: "An Exchange administrator makes a service account that may act as the users of mailboxes.",
}
DONE, NOW, LATER = "done", "to do", "later"
MOST_LISTED = 8


def setup_pass() -> SyncPass | None:
    """Returns the pass that is being set up: the first that was never on, else the first."""
    passes = _wanted(_passes())
    return next((p for p in passes if p.switched_on_at is None and not p.is_on), passes[0] if passes else None)


def _wanted(passes: Iterable[SyncPass]) -> list[SyncPass]:
    """Returns the passes that set-up is about. Those that may stay off for good are none of it, unless mailboxes are all that
    is connected: then those passes over them are that somebody switched on, contacts before anybody did."""
    found = list(passes)
    over = [p for p in found if p.is_over_mailboxes]
    return [p for p in found if p.name not in OPTIONAL] or [p for p in over if p.switched_on_at is not None] or over[:1]


def plugin_pass() -> SyncPass | None:
    """Returns the pass that works with the plugin's fields in Workbooks."""
    return _passes().filter(crm__system=Connection.System.WORKBOOKS).first()


def _passes() -> QuerySet[SyncPass]:
    rows = SyncPass.objects.whole().select_related("crm", "peer", "mapping", "owner_check").order_by("pk")
    return rows.prefetch_related("mapping__rules", "record_types__mapping__rules")


def setup_steps(sync_pass: SyncPass | None) -> list[Step]:
    """Returns the steps in their order; the first that is not done is the one to do now."""
    if sync_pass is None:
        known = list(Connection.objects.filter(system__in=(*CRMS, Connection.System.OUTREACH, *MAIL)).order_by("pk"))
        steps = [_connect(known, _lacking(known))]
        steps += [Step(key, title, False, "") for key, title in (MAIL_AFTER if _is_for_mail(known) else AFTER)]
    else:
        steps = [_connect(_connections_of(sync_pass))]
        steps += _steps_of(sync_pass)
    first = next((step.key for step in steps if not step.is_done), "")
    return [replace(s, state=DONE if s.is_done else NOW if s.key == first else LATER) for s in steps]


AFTER = (
    ("fields", "Fields"),
    ("mapping", "Mapping"),
    ("owners", "Users"),
    ("preview", "Preview"),
    ("pilot", "Pilot"),
    ("on", "Switch on"),
)


def _steps_of(sync_pass: SyncPass) -> list[Step]:
    if not sync_pass.is_over_mailboxes:
        return [make(sync_pass) for make in STEPS[sync_pass.crm.system]]
    mailboxes, switch, started = mailbox_steps(sync_pass)
    return [_mapping(sync_pass), mailboxes, switch, _on(sync_pass), started]


def _is_for_mail(known: Iterable[Connection]) -> bool:
    """Tells whether what is connected so far is on the way to mailboxes, and to nothing else."""
    systems = {c.system for c in known}
    return bool(systems.intersection(MAIL)) and not systems.intersection((Connection.System.WORKBOOKS, Connection.System.OUTREACH))


def _connections_of(sync_pass: SyncPass) -> list[Connection]:
    """Returns the connections that a pass needs; mail systems share one pass."""
    if not sync_pass.is_over_mailboxes:
        return [sync_pass.crm, sync_pass.peer]
    return [sync_pass.crm, *Connection.objects.filter(system__in=MAIL).order_by("pk")]


def _lacking(known: Collection[Connection]) -> list[str]:
    """Returns what must be connected before there is a pass at all."""
    systems = {c.system for c in known}
    has_crm, has_mail = bool(systems.intersection(CRMS)), bool(systems.intersection(MAIL))
    if has_mail and _is_for_mail(known):
        return ["Salesforce is not connected yet: mailboxes take their contacts from it."]
    if has_mail and has_crm:
        return ["Workbooks goes with Outreach, mailboxes go with Salesforce: connect one of the two."]
    missing = [] if has_crm else ["No CRM is connected yet: Workbooks, Salesforce, or both."]
    if Connection.System.OUTREACH not in systems:
        missing.append(NO_PEER if Connection.System.WORKBOOKS not in systems else "Outreach is not connected yet.")
    return missing


NO_PEER = "Nothing beside a CRM is connected yet: Outreach, or for mailboxes Microsoft 365 or Google."


def _connect(found: list[Connection], lacking: Iterable[str] = ()) -> Step:
    crms, missing = [c for c in found if c.system in CRMS], list(lacking)
    for connection in found:
        if connection.state == Connection.State.UNTESTED:
            missing.append(f"{connection} has not been tested.")
        elif connection.state != Connection.State.OK:
            missing.append(f"{connection}: {connection.last_error or connection.get_state_display()}")
    acts = [Act("Connections", "connection_list")]
    if 0 < len(crms) < len(found):
        acts.insert(0, Act("Test both" if len(found) == 2 else "Test all", "setup_test", is_post=True))
    return Step(
        "connect",
        "Connect",
        not missing,
        " and ".join(str(c) for c in found) + (" answer." if not missing else ".") if found else "Nothing is connected yet.",
        tuple(missing),
        " ".join(WHO[system] for system in dict.fromkeys(c.system for c in found) or [Connection.System.OUTREACH]),
        tuple(acts),
    )


def _fields(sync_pass: SyncPass) -> Step:
    fields = plugin_fields(sync_pass)
    missing = [f for f in fields if f.is_missing]
    if not fields_are_known(sync_pass):
        said, lines = "The fields of Workbooks have not been read yet.", ("Test the connection; it reads them.",)
    else:
        n = sum(bool(f.column) for f in fields)
        said = f"{n} of the plugin's fields {bent(n, 'is', 'are')} found in {sync_pass.crm}."
        lines = tuple(f"{f.title} of {f.whose}: {f.state}" for f in missing)
    who = "A Workbooks administrator, or this application with that right: the page creates them or says them to copy."
    acts = (Act("Fields", "setup_fields"),)
    return Step("fields", "Fields", fields_are_known(sync_pass) and not missing, said, lines, who, acts)


def _mapping(sync_pass: SyncPass) -> Step:
    problems = lint_types(sync_pass)
    tables = _tables(sync_pass)
    enabled = {table.name: sum(row.is_enabled for row in table.rules.all()) for table in tables}
    counts = [f"{counted(n, 'row')} of “{name}”" for name, n in enabled.items()]
    said = (
        " and ".join(counts)
        + bent(sum(enabled.values()), " is enabled", " are enabled")
        + ("; each fits the fields of both systems." if not problems else ".")
    )
    acts = (Act("Edit the mapping", "mapping_edit", argument=tables[0].pk) if len(tables) == 1 else Act("Mappings", "mapping_list"),)
    return Step("mapping", "Mapping", not problems, said, _short(problems), "An admin of this application.", acts)


def _tables(sync_pass: SyncPass) -> list[MappingTable]:
    return [kind.mapping for kind in sync_pass.record_types.all() if kind.is_on] or [sync_pass.mapping]


def _short(lines: list[str]) -> tuple[str, ...]:
    return (*lines[:MOST_LISTED], *([f"and {len(lines) - MOST_LISTED} more"] if len(lines) > MOST_LISTED else []))


def _owners(sync_pass: SyncPass) -> Step:
    check = getattr(sync_pass, "owner_check", None)
    act = Act("Look at Assigned To now" if check is None else "Look again", "setup_owners", is_post=True)
    who = "An Outreach administrator, for a username; whoever edits Workbooks, for a name."
    if not owner_columns(sync_pass):
        return Step("owners", "Users", True, "No field is sent as owner; accounts are made without one.", (), who)
    if check is None:
        said = "Nobody has looked yet which names under Assigned To are Outreach usernames."
        return Step("owners", "Users", False, said, (), who, (act,))
    looked = f"{counted(check.looked_at, 'organisation')} looked at{'' if check.is_complete else ' (there are more)'}"
    matched = len(check.matched)
    said = (
        f"{looked}: {matched} of {counted(len(check.names), 'name')} {bent(matched, 'is an Outreach username', 'are Outreach usernames')}."
    )
    near = near_matches(sync_pass.peer, [name for name, _ in check.unmatched])
    lines = []
    for name, n in check.unmatched:
        perhaps = f" (perhaps {', '.join(near[name][:3])} is meant)" if near.get(name) else ""
        lines.append(f"{name}, {n} organisation{'s' if n > 1 else ''}: no such username{perhaps}; their accounts stay without owner")
    return Step("owners", "Users", True, said, _short(lines), who, (act,))


def _preview(sync_pass: SyncPass) -> Step:
    who = "An admin of this application."
    make = Act("Make a preview", "pass_preview", is_post=True, argument=sync_pass.name)
    if not gate.is_closed(sync_pass):
        sandbox, real = "A sandbox needs none; it is there to be tried.", "It was looked at before the pass was switched on."
        said = real if gate.is_real(sync_pass) else sandbox
        return Step("preview", "Preview", True, said, (), who)
    why = gate.preview_wanted(sync_pass)
    plans = Run.objects.filter(sync_pass=sync_pass, kind=Run.Kind.PREVIEW)
    newest = plans.filter(state__in=(Run.State.FINISHED, Run.State.HELD)).order_by("-pk").first()
    look = (Act(f"Look at run {newest.pk}", "run_detail", argument=newest.pk),) if newest else ()
    if not why:
        seen = sync_pass.preview_seen
        return Step("preview", "Preview", True, f"{seen['by']} looked at the preview in run {seen['run']}.", (), who, (*look, make))
    return Step(
        "preview", "Preview", False, "What the pass would do with every record, before it does anything.", (why,), who, (*look, make)
    )


def _pilot(sync_pass: SyncPass) -> Step:
    act = (Act("Pilot", "setup_pilot"),)
    if not gate.is_closed(sync_pass):
        return Step("pilot", "Pilot", True, "The pass is beyond its pilot.", (), "")
    runs = Run.objects.filter(sync_pass=sync_pass, kind=Run.Kind.PILOT, state=Run.State.FINISHED).order_by("-pk")
    newest = runs.first()
    if newest is None:
        said = "Try the pass with a few organisations that you pick, then with batches of a size you choose."
        return Step("pilot", "Pilot", False, said, ("No pilot has run yet.",), "An admin of this application.", act)
    said = (
        f"The newest pilot is run {newest.pk}: {newest.created} created, {counted(newest.duplicates, 'duplicate')}, {newest.failed} failed."
    )
    return Step("pilot", "Pilot", True, said, (), "", act)


def _on(sync_pass: SyncPass) -> Step:
    who = "An admin of this application."
    if sync_pass.is_on:
        return Step("on", "Switch on", True, f"“{sync_pass}” is on, every {counted(sync_pass.interval_seconds, 'second')}.", (), who)
    question = OF_MAILBOXES.format(sync_pass.title) if sync_pass.is_over_mailboxes else QUESTION[sync_pass.crm.system]
    act = Act("Switch on", "setup_switch_on", is_post=True, question=question)
    return Step("on", "Switch on", False, f"“{sync_pass}” is off.", (), who, (act,))


OF_MAILBOXES = (
    "From this moment “{0}” runs by itself over every mailbox that was started, and has {0} switched on. A mailbox for which it was never "
    "started makes a preview, and waits until somebody has looked at it."
)
QUESTION = {
    Connection.System.WORKBOOKS: (
        "From this moment the pass takes every organisation that is new and switched on, by itself. Organisations that have an "
        "Outreach Id already wait until they are edited."
    ),
    Connection.System.SALESFORCE: (
        "From this moment the pass brings every edit from either side to the other, by itself. Records that nobody edits wait; "
        "an import takes them."
    ),
}
# What each kind of pass needs, in order; connecting comes first.
STEPS = {
    Connection.System.WORKBOOKS: (_fields, _mapping, _owners, _preview, _pilot, _on),
    Connection.System.SALESFORCE: (_mapping, _preview, _on),
}


def is_set_up(passes: Collection[SyncPass], connections: Iterable[Connection]) -> bool:
    """Tells whether the way was gone to its end: every pass that was wanted is on, every connection was tested. What
    fails later is no matter of set-up: alerts tell of it."""
    wanted = _wanted(passes)
    return bool(wanted) and all(p.is_on for p in wanted) and all(c.state != Connection.State.UNTESTED for c in connections)
