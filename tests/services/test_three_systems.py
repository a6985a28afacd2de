"""Set-up and switching on with a third system: nobody is told that a system is missing which the company does not have, and
two passes do not both hold the one key of an account (D32)."""

from dataclasses import replace

import pytest
from django.contrib.auth.models import User

from reconciliation.engine import gate
from reconciliation.engine.runner import Order, run_pass
from reconciliation.models import AuditEntry, Connection, FieldRule, Mailbox, RecordType, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.services.connections import connection_test
from reconciliation.services.mappings import lint_types
from reconciliation.services.schedule import ScheduleRefused, schedule_of, schedule_set
from reconciliation.services.set_up import salesforce_passes
from reconciliation.services.setup_steps import is_set_up, plugin_pass, setup_pass, setup_steps
from reconciliation.services.switch_on import SwitchRefused, pass_switch_off, pass_switch_on, pilot_start
from reconciliation.services.transfer import export_text, import_plan
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def of(name):
    return SyncPass.objects.select_related("crm", "peer", "mapping").get(name=name)


def step(key, sync_pass=None):
    return next(s for s in setup_steps(sync_pass or setup_pass()) if s.key == key)


def as_if_real(box):
    """Makes the application take the sandbox's systems for those of a company with Salesforce and Outreach only."""
    SyncPass.objects.filter(name="organisations").delete()
    Connection.objects.filter(system="workbooks").delete()
    Connection.objects.update(is_sandbox=False, state="untested")
    SyncPass.objects.update(is_on=False, switched_on_at=None)
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)


def test_with_workbooks_and_outreach_nobody_misses_salesforce():
    box = make(is_real=True)
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)

    connect = step("connect")

    assert connect.is_done and "Salesforce" not in f"{connect.sentence} {connect.missing} {connect.who}"
    assert [a.label for a in connect.acts] == ["Test both", "Connections"]


def test_with_salesforce_and_outreach_nobody_misses_workbooks_or_its_plugin():
    box = make(with_salesforce=True)
    as_if_real(box)

    steps = setup_steps(setup_pass())

    assert setup_pass().name == "prospects" and plugin_pass() is None
    assert [(s.key, s.state) for s in steps] == [("connect", "done"), ("mapping", "done"), ("preview", "to do"), ("on", "later")]
    assert "Workbooks" not in " ".join(f"{s.sentence} {s.missing} {s.who}" for s in steps)
    assert "“Contacts to prospects” and" in steps[1].sentence and lint_types(setup_pass()) == []


@pytest.mark.parametrize(
    ("systems", "missing"),
    [
        (("workbooks",), ("Outreach is not connected yet.",)),
        (("salesforce",), ("Nothing beside a CRM is connected yet: Outreach, or for mailboxes Microsoft 365 or Google.",)),
        (("outreach",), ("No CRM is connected yet: Workbooks, Salesforce, or both.",)),
    ],
)
def test_before_there_is_a_pair_only_what_would_make_one_is_missing(systems, missing):
    for system in systems:
        Connection.objects.create(name=system, system=system, base_url="http://127.0.0.1:1", state="ok")

    assert step("connect").missing == missing


def test_the_third_system_leads_set_up_on_to_its_pass_and_the_fields_stay_those_of_the_first():
    box = make(with_salesforce=True)
    assert setup_pass().name == "organisations" and is_set_up([setup_pass()], [])  # on, like that of prospects
    SyncPass.objects.filter(name="prospects").update(is_on=False, switched_on_at=None)

    assert (setup_pass().name, plugin_pass().name) == ("prospects", "organisations")
    assert not is_set_up(SyncPass.objects.all(), [])
    SyncPass.objects.filter(name="prospects").update(is_on=True)
    assert is_set_up(SyncPass.objects.all(), []) and not of("accounts").is_on  # which may stay off for good
    assert box.sync_pass.name == "organisations"


def test_d32_accounts_and_organisations_are_not_both_on_for_one_outreach(olga):
    make(with_salesforce=True)
    accounts, organisations = of("accounts"), of("organisations")

    with pytest.raises(SwitchRefused, match=r"Workbooks \(sandbox\) is synced with Outreach \(sandbox\) already; an account holds one key"):
        pass_switch_on(accounts, olga)
    with pytest.raises(ScheduleRefused, match="Switch “Outreach Send/Receive” off first"):
        schedule_set(accounts, replace(schedule_of(accounts), is_on=True), olga)
    assert not of("accounts").is_on and not AuditEntry.objects.exclude(action="mailbox.added").exists()

    pass_switch_off(organisations, olga)
    pass_switch_on(accounts, olga)
    with pytest.raises(SwitchRefused, match="Switch “Salesforce accounts” off first"):
        pass_switch_on(organisations, olga)
    assert (of("accounts").is_on, of("organisations").is_on, of("prospects").is_on) == (True, False, True)


def test_d32_a_run_of_the_pass_that_is_off_is_a_plan_while_the_other_is_on():
    box = make(with_salesforce=True)
    box.world.salesforce.create_record("Account", {"Name": "Acme"})
    box.clock.forward(600)

    held = run_pass(of("accounts"), Order(), box.wiring)

    assert held.state == "held" and "“Outreach Send/Receive” is on, and these records hold one key" in held.note
    assert not box.world.outreach.list_records("accounts")


def test_d32_another_outreach_is_none_of_it(olga):
    make(with_salesforce=True)
    other = Connection.objects.create(name="Other", system="outreach", base_url="http://127.0.0.1:1", is_sandbox=True)
    SyncPass.objects.filter(name="accounts").update(peer=other)

    pass_switch_on(of("accounts"), olga)

    assert of("accounts").is_on


def test_d27_a_two_way_pass_begins_at_the_moment_it_is_switched_on_on_both_sides(olga):
    box = make(with_salesforce=True)
    as_if_real(box)
    prospects = of("prospects")
    RecordType.objects.update(last_run_time="2020-01-01T00:00Z", position_id="x")
    with pytest.raises(SwitchRefused, match="first preview has not been looked at"):
        pass_switch_on(prospects, olga)
    SyncPass.objects.filter(pk=prospects.pk).update(preview_seen={"by": "olga", "rests_on": gate.what_it_rests_on(prospects)})

    pass_switch_on(of("prospects"), olga)

    row = of("prospects")
    assert row.is_on and {t.last_run_time for t in row.record_types.all()} == {row.last_run_time}
    assert {t.position_id for t in row.record_types.all()} == {""}
    assert of("accounts").record_types.get().position_id == "x"


def test_a_preview_rests_on_every_record_type_of_a_two_way_pass():
    box = make(with_salesforce=True)
    as_if_real(box)
    prospects = of("prospects")
    seen = {"by": "olga", "rests_on": gate.what_it_rests_on(prospects)}
    SyncPass.objects.filter(pk=prospects.pk).update(preview_seen=seen)
    assert gate.preview_wanted(of("prospects")) == ""

    RecordType.objects.filter(crm_object="Lead").update(outbound_create=False)

    assert "were changed since the preview" in gate.preview_wanted(of("prospects"))
    assert "types" not in gate.what_it_rests_on(make_organisations())


def make_organisations():
    SyncPass.objects.all().delete()
    Mailbox.objects.all().delete()
    Connection.objects.all().delete()
    return make(is_real=True).sync_pass


def test_a_pilot_is_of_organisations_and_a_two_way_pass_says_what_to_do_instead(olga):
    make(with_salesforce=True)
    SyncPass.objects.update(is_on=False)

    with pytest.raises(SwitchRefused, match="an import of a few records"):
        pilot_start(of("prospects"), olga, most_new=3)


def test_lint_names_rows_of_every_record_type_that_is_on():
    box = make(with_salesforce=True)
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)
    FieldRule.objects.filter(table__name="Leads to prospects", peer_field="title").update(crm_field="Gone__c")
    FieldRule.objects.filter(table__name="Contacts to prospects", peer_field="company").update(crm_field="Nothing.Name")

    problems = lint_types(of("prospects"))

    assert problems == [
        "Nothing.Name → company: Salesforce has no field 'Nothing.Name'.",
        "Gone__c → title: Salesforce has no field 'Gone__c'.",
    ]
    RecordType.objects.filter(crm_object="Lead").update(is_on=False)
    assert len(lint_types(of("prospects"))) == 1 and lint_types(of("accounts")) == []


def test_no_second_pair_gets_the_passes_of_the_first():
    make(with_salesforce=True)
    prospects, accounts, activities = salesforce_passes(
        Connection.objects.get(system="salesforce"), Connection.objects.get(system="outreach")
    )

    assert (prospects.name, accounts.name, activities.name) == ("prospects", "accounts", "outreach-activities")
    assert SyncPass.objects.exclude(name__in=MAILBOX_PASSES).count() == 4


def test_settings_travel_from_a_site_with_all_three_to_another_one(olga):
    make(with_salesforce=True)
    file = export_text()
    assert [part.title for part in import_plan(file).parts if part.is_changed] == []

    FieldRule.objects.filter(table__name="Leads to prospects", peer_field="title").update(is_enabled=False)
    SyncPass.objects.filter(name="prospects").update(interval_seconds=120)
    changed = [part.title for part in import_plan(file).parts if part.is_changed]

    assert changed == ["Mapping Leads to prospects", "Pass Prospects"]


def test_d32_a_prospect_of_a_company_that_workbooks_keeps_is_not_made_in_salesforce():
    box = make(with_salesforce=True)
    SyncPass.objects.update(is_on=True)
    box.organisation("Northwind Pumps")
    run_pass(of("organisations"), Order(), box.wiring)
    (account,) = box.accounts("Northwind Pumps")
    for last, more in (("Byrne", {"account": int(account["id"])}), ("Evans", {})):
        box.world.outreach.create_record("prospects", {"lastName": last, "emails": [f"{last.lower()}@acme.example"], **more})
    box.clock.forward(120)

    run = run_pass(of("prospects"), Order(), box.wiring)

    assert [lead["LastName"] for lead in box.world.salesforce.list_records("Lead")] == ["Evans"], run.note
    assert run.excluded == {"other_crm": 1}
    said = run.events.get(reason="other_crm").sentence
    assert "Workbooks keeps" in said and "Salesforce" in said
