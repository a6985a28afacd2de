"""The set-up checklist: each state is computed from what is there."""

import pytest
from django.contrib.auth.models import User

from reconciliation.models import Connection, FieldRule, OwnerCheck, RemoteUser, Run, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.mappings import lint_table
from reconciliation.services.owner_check import owners_look
from reconciliation.services.setup_steps import is_set_up, setup_pass, setup_steps
from reconciliation.services.switch_on import pass_switch_on, preview_confirm
from tests.sandboxed import make
from tests.services.test_fields import without_plugin

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def states():
    return {step.key: step.state for step in setup_steps(setup_pass())}


def step(key):
    return next(s for s in setup_steps(setup_pass()) if s.key == key)


def connect(box):
    for connection in (box.sync_pass.crm, box.sync_pass.peer):
        connection_test(connection, wiring=box.wiring)


def test_with_nothing_everything_is_to_do():
    assert list(states().items()) == [
        ("connect", "to do"),
        ("fields", "later"),
        ("mapping", "later"),
        ("owners", "later"),
        ("preview", "later"),
        ("pilot", "later"),
        ("on", "later"),
    ]
    assert step("connect").missing == (
        "No CRM is connected yet: Workbooks, Salesforce, or both.",
        "Nothing beside a CRM is connected yet: Outreach, or for mailboxes Microsoft 365 or Google.",
    )


def test_the_way_from_connected_to_on(monkeypatch):
    box = make(is_real=True)
    monkeypatch.setattr("django.utils.timezone.now", lambda: box.clock.at)
    without_plugin(box, keep=("Outreach Sync Error", "Outreach Duplicate", "Outreach Id", "Outreach URL"))
    assert states()["connect"] == "to do" and "Workbooks has not been tested." in step("connect").missing

    connect(box)
    assert (states()["connect"], states()["fields"], states()["on"]) == ("done", "to do", "later")
    assert step("fields").missing == ("Sync to Outreach of organisations: missing", "Sync to Outreach of people: missing")

    box = make_whole(box)
    assert (states()["fields"], states()["mapping"], states()["owners"]) == ("done", "done", "to do")
    box.organisation("New", assigned_to_name="Tom_Becker")
    owners_look(box.sync_pass, wiring=box.wiring)
    assert (states()["owners"], states()["preview"]) == ("done", "to do")
    preview = box.run(kind=Run.Kind.PREVIEW)
    olga = User.objects.create(username="olga")
    preview.sync_pass = setup_pass()
    preview_confirm(preview, olga)
    assert (states()["preview"], states()["pilot"]) == ("done", "to do")
    assert "olga looked at the preview" in step("preview").sentence
    box.sync_pass = setup_pass()
    box.run(kind=Run.Kind.PILOT, most_new=5)
    assert (states()["pilot"], states()["on"]) == ("done", "to do")
    pass_switch_on(box.sync_pass, olga)
    assert set(states().values()) == {"done"}


def test_set_up_is_over_once_the_pass_is_on_and_its_connections_were_tested():
    box = make(is_real=True)
    assert not is_set_up([], [])
    assert not is_set_up([setup_pass()], Connection.objects.all())

    SyncPass.objects.update(is_on=True)
    assert not is_set_up([setup_pass()], Connection.objects.all())
    connect(box)
    assert is_set_up([setup_pass()], Connection.objects.all())
    Connection.objects.filter(system="outreach").update(state=Connection.State.NEEDS_ATTENTION)
    assert is_set_up([setup_pass()], Connection.objects.all())  # an alert says so, not the set-up


def make_whole(box):
    from connectors.sandbox.workbooks.metadata import Column

    types = box.world.workbooks.custom_fields.types
    for kind, record in (("organisations", "organisation"), ("people", "person")):
        name = f"cf_{record}_sync_to_outreach"
        types[kind].columns[name] = Column(name, "Sync to Outreach", "boolean")
    connect(box)
    return box


def test_the_demo_is_all_green_once_its_owners_were_looked_at():
    box = make("demo")
    connect(box)
    owners_look(box.sync_pass, wiring=box.wiring)

    assert set(states().values()) == {"done"}


def test_trouble_of_a_connection_takes_its_step_back():
    box = make()
    connect(box)
    Connection.objects.filter(system="outreach").update(state="needs_attention", last_error="refused our token")

    assert (states()["connect"], step("connect").missing) == ("to do", ("Outreach (sandbox): refused our token",))


def test_mapping_lint_names_each_row_and_required_fields():
    box = make()
    assert lint_table(box.sync_pass) == ["The field lists of both systems have not been read yet: test the connections."]
    connect(box)
    sync_pass = setup_pass()
    assert lint_table(sync_pass) == []

    FieldRule.objects.filter(peer_field="locality").update(crm_field="cf_gone")
    FieldRule.objects.filter(peer_field="name").update(is_enabled=False)

    problems = lint_table(setup_pass())
    assert "cf_gone → locality: Workbooks has no field 'cf_gone'." in problems
    assert any("name must be filled in Outreach" in p for p in problems)


def test_users_are_matched_exactly_and_those_that_do_not_are_listed_most_first():
    box = make()
    for n, owner in enumerate(["Tom_Becker", "tom_becker", "Jo Admin", "Jo Admin", "", "Priya_Nair"]):
        box.organisation(f"O{n}", assigned_to_name=owner)
    box.organisation("off", assigned_to_name="Not Synced", cf_organisation_sync_to_outreach=False)
    box.calls()

    check = owners_look(box.sync_pass, wiring=box.wiring)

    assert check.unmatched == [("Jo Admin", 2), ("tom_becker", 1)]
    assert sorted(check.matched) == [("Priya_Nair", 1), ("Tom_Becker", 1)]
    assert (check.looked_at, check.is_complete) == (6, True)
    calls = box.calls()
    assert calls and all(call.startswith("GET") for call in calls)
    assert step("owners").missing == (
        "Jo Admin, 2 organisations: no such username; their accounts stay without owner",
        "tom_becker, 1 organisation: no such username (perhaps Tom_Becker is meant); their accounts stay without owner",
    )


def test_a_username_that_is_new_in_outreach_is_found_when_looked_at_again():
    box = make()
    box.organisation("O", assigned_to_name="new.user")
    assert owners_look(box.sync_pass, wiring=box.wiring).unmatched == [("new.user", 1)]
    box.world.outreach.create_record("users", {"username": "new.user", "firstName": "N", "lastName": "U", "email": "n@seller.example"})

    assert owners_look(box.sync_pass, wiring=box.wiring).unmatched == []
    assert OwnerCheck.objects.count() == 1 and RemoteUser.objects.exclude(user_id="").filter(username="new.user").exists()


def test_the_look_at_owners_is_bounded(monkeypatch):
    monkeypatch.setattr("reconciliation.services.owner_check.MOST_READ", 100)
    box = make()
    for n in range(150):
        box.organisation(f"O{n}", assigned_to_name=f"user {n % 3}")

    check = owners_look(box.sync_pass, wiring=box.wiring)

    assert (check.looked_at, check.is_complete) == (100, False)


def test_no_owner_in_the_mapping_is_no_step_to_do():
    box = make()
    FieldRule.objects.filter(peer_field="owner").update(is_enabled=False)

    assert owners_look(box.sync_pass, wiring=box.wiring).looked_at == 0
    assert step("owners").is_done and SyncPass.objects.count() == 1
