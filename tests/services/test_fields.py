"""The plugin's columns: found by their titles, chosen from the real fields, created where they are missing."""

from dataclasses import replace

import pytest
from django.contrib.auth.models import User

from connectors.sandbox.workbooks.metadata import Column
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import AuditEntry, Case, Operation, Run, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.errors import error_retry
from reconciliation.services.fields import (
    FieldsRefused,
    fields_choose,
    fields_create,
    fields_find,
    fields_read,
    missing_fields,
    plugin_fields,
    to_copy,
)
from reconciliation.services.schemas import schemas_read
from reconciliation.services.stop_writes import writes_stop
from reconciliation.store import organisation_columns
from tests.sandboxed import DUPLICATE, ERROR, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def columns_of(box, kind):
    return box.world.workbooks.custom_fields.types[kind].columns


def without_plugin(box, *, keep=()):
    """A database in which the plugin was never installed."""
    for kind in ("organisations", "people"):
        columns = columns_of(box, kind)
        for name in [n for n, c in columns.items() if "outreach" in n and c.title not in keep]:
            del columns[name]
    return box


def renamed(box):
    """A database whose plugin columns have names that nobody can guess, and titles as the plugin gives them."""
    columns = columns_of(box, "organisations")
    for n, name in enumerate([n for n in columns if "outreach" in n]):
        old = columns.pop(name)
        columns[f"cf_organisation_x_{3774 + n}"] = Column(f"cf_organisation_x_{3774 + n}", old.title.upper(), old.datatype)
    return box


def test_columns_are_found_by_their_titles_when_the_connection_is_tested_and_the_pass_works_with_them():
    box = renamed(make())

    connection_test(box.sync_pass.crm, wiring=box.wiring)

    box.sync_pass.refresh_from_db()
    assert organisation_columns(box.sync_pass).sync == "cf_organisation_x_3774"
    assert missing_fields(box.sync_pass) == []
    values = {"name": "Renamed", "cf_organisation_x_3774": True}
    made = box.world.workbooks.create_record("organisations", values)
    assert box.run().created == 1
    assert box.show(made["id"])["cf_organisation_x_3777"] == str(box.accounts("Renamed")[0]["id"])


def test_what_is_missing_is_named_with_title_type_and_record_type():
    box = without_plugin(make(), keep=("Outreach Id",))

    fields_read(box.sync_pass, wiring=box.wiring)

    missing = missing_fields(box.sync_pass)
    assert (missing[0].record_type, missing[0].title) == ("organisation", "Sync to Outreach")
    assert len(missing) == 4 + 3
    assert to_copy(missing).splitlines()[0] == "Sync to Outreach\tCheckbox\tOrganisation"
    assert "Outreach URL\tText, one line\tOrganisation" in to_copy(missing)


def test_missing_ones_are_created_waited_for_journalled_and_taken(olga):
    box = without_plugin(make())
    fields_read(box.sync_pass, wiring=box.wiring)
    wanted = [(f.record_type, f.key) for f in missing_fields(box.sync_pass)]

    made = fields_create(box.sync_pass, wanted, olga, wiring=box.wiring)

    assert (len(made.created), made.refused, made.pending) == (9, [], [])
    assert missing_fields(box.sync_pass) == []
    assert columns_of(box, "organisations")[SYNC].title == "Sync to Outreach"
    journal = Operation.objects.filter(kind="field")
    assert {(op.state, op.object_type, op.run.kind) for op in journal} == {("confirmed", "custom_field", "staff")}
    assert {op.after["title"] for op in journal} >= {"Sync to Outreach", "Outreach Id", "Outreach URL"}
    entry = AuditEntry.objects.get(action="create fields")
    assert (entry.username, len(entry.detail["fields"])) == ("olga", 9)


def test_a_field_that_workbooks_is_still_making_is_told_and_taken_later(olga):
    box = without_plugin(make(), keep=("Outreach Sync Error", "Outreach Duplicate", "Outreach Id", "Outreach URL"))
    wanted = [("organisation", "sync")]

    made = fields_create(box.sync_pass, wanted, olga, wiring=replace(box.wiring, sleep=lambda _: None))

    assert made.pending == ["Sync to Outreach of organisations"]
    with pytest.raises(FieldsRefused, match="Nothing is missing"):
        box.clock.forward(3)
        fields_create(box.sync_pass, wanted, olga, wiring=box.wiring)
    assert ("organisation", "sync") not in [(f.record_type, f.key) for f in missing_fields(box.sync_pass)]


def test_a_create_whose_answer_was_lost_is_not_made_twice(olga):
    box = without_plugin(make(), keep=("Outreach Sync Error", "Outreach Duplicate", "Outreach Id", "Outreach URL"))
    box.world.faults.add({"kind": "lost_answer", "system": "workbooks", "path": "/admin/custom_fields.api", "method": "PUT", "times": 1})
    with pytest.raises(Exception, match="broke off"):
        fields_create(box.sync_pass, [("organisation", "sync")], olga, wiring=box.wiring)
    box.clock.forward(60)

    with pytest.raises(FieldsRefused, match="Nothing is missing"):
        fields_create(box.sync_pass, [("organisation", "sync")], olga, wiring=box.wiring)

    assert len(box.world.workbooks.custom_fields.rows) == 1
    run = box.run()
    assert run.state == "finished" and not Operation.objects.filter(kind="field", state__in=Operation.OPEN).exists()


def test_nothing_is_created_while_all_writes_are_stopped(olga):
    box = without_plugin(make())
    writes_stop(olga, "x")

    with pytest.raises(WritesStopped):
        fields_create(box.sync_pass, [("organisation", "sync")], olga, wiring=box.wiring)

    assert box.world.workbooks.custom_fields.rows == []


def test_two_fields_of_one_title_are_a_choice_for_a_person(olga):
    box = without_plugin(make(), keep=("Outreach Sync Error", "Outreach Duplicate", "Outreach Id", "Outreach URL"))
    for n in (1, 2):
        columns_of(box, "organisations")[f"cf_{n}"] = Column(f"cf_{n}", "Sync to Outreach", "boolean")
    fields_read(box.sync_pass, wiring=box.wiring)

    assert next(f for f in plugin_fields(box.sync_pass) if f.key == "sync").state == "several have this title"
    with pytest.raises(FieldsRefused, match="more than one field Sync to Outreach"):
        fields_create(box.sync_pass, [("organisation", "sync")], olga, wiring=box.wiring)
    assert fields_choose(box.sync_pass, {("organisation", "sync"): "cf_2"}, olga) == 1

    fields_read(box.sync_pass, wiring=box.wiring)
    assert organisation_columns(box.sync_pass).sync == "cf_2"
    assert AuditEntry.objects.get(action="choose fields").detail["fields"] == {"organisation Sync to Outreach": ["", "cf_2"]}


def test_what_somebody_chose_while_the_fields_were_read_stays(olga):
    box = renamed(make())
    columns_of(box, "organisations")["cf_ours"] = Column("cf_ours", "Ours", "boolean")
    reading = SyncPass.objects.select_related("crm", "peer", "mapping").get()  # one that reads, and is slow
    schemas_read(reading.crm, box.wiring.open_connector(reading.crm))
    box.sync_pass.crm.refresh_from_db()
    fields_choose(box.sync_pass, {("organisation", "sync"): "cf_ours"}, olga)

    fields_find(reading)

    box.sync_pass.refresh_from_db()
    assert organisation_columns(box.sync_pass).sync == "cf_ours"
    assert organisation_columns(box.sync_pass).peer_id.startswith("cf_organisation_x_")


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({("organisation", "sync"): "name"}, "must be a field of Workbooks of the type Checkbox"),
        ({("organisation", "sync"): "cf_nosuch"}, "must be a field of Workbooks"),
        ({("organisation", "peer_id"): "created_through"}, "must be a field of Workbooks of the type Text"),
        ({("organisation", "sync"): ""}, "is needed"),
        ({("organisation", "sync"): ERROR}, "cannot stand for two fields"),
    ],
)
def test_a_column_that_cannot_serve_is_refused_and_nothing_stored(olga, chosen, why):
    box = make()
    fields_read(box.sync_pass, wiring=box.wiring)

    with pytest.raises(FieldsRefused, match=why):
        fields_choose(box.sync_pass, chosen, olga)

    box.sync_pass.refresh_from_db()
    assert organisation_columns(box.sync_pass).sync == SYNC


@pytest.mark.parametrize(("datatype", "value", "cleared"), [("boolean", True, False), ("string", "Outreach", "")])
def test_d34_outreach_error_is_set_and_cleared_with_the_flag_as_checkbox_or_text(olga, datatype, value, cleared):
    box = make()
    columns_of(box, "organisations")["cf_e"] = Column("cf_e", "Outreach Error", datatype)
    connection_test(box.sync_pass.crm, wiring=box.wiring)
    box.sync_pass.refresh_from_db()
    id_ = box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})

    box.run()
    stored = box.show(id_)["cf_e"]
    assert stored is True if value is True else value in stored
    error_retry([Case.objects.get()], olga, wiring=box.wiring)

    assert (box.show(id_)[ERROR], box.show(id_)["cf_e"]) == (False, cleared)


def test_d34_an_error_whose_flag_was_cleared_in_workbooks_is_emptied_when_it_goes_through():
    box = make()
    columns_of(box, "organisations")["cf_e"] = Column("cf_e", "Outreach Error", "string")
    connection_test(box.sync_pass.crm, wiring=box.wiring)
    box.sync_pass.refresh_from_db()
    id_ = box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    box.edit(id_, **{ERROR: False})
    assert box.show(id_)["cf_e"]

    run = box.run()

    assert (run.created, box.show(id_)["cf_e"] or "") == (1, "")
    assert box.run().updated == 0


def test_d34_an_error_is_emptied_when_the_organisation_turns_out_to_need_no_write():
    box = make()
    columns_of(box, "organisations")["cf_e"] = Column("cf_e", "Outreach Error", "string")
    connection_test(box.sync_pass.crm, wiring=box.wiring)
    box.sync_pass.refresh_from_db()
    id_ = box.organisation("Bound", industry="Food")
    box.run()
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "times": 1})
    box.edit(id_, industry="Health")
    box.run()
    assert box.show(id_)["cf_e"]
    box.edit(id_, industry="Food", **{ERROR: False})

    run = box.run()

    assert (run.unchanged, box.show(id_)["cf_e"] or "") == (1, "")
    box.calls()
    assert box.run().updated == 0 and not any(call.startswith("PUT") for call in box.calls())


def test_a_plugin_field_that_is_gone_holds_the_pass_until_the_fields_are_mended():
    box = make()
    box.organisation("Waits")
    del columns_of(box, "organisations")[DUPLICATE]

    preview, held = box.run(kind=Run.Kind.PREVIEW), box.run()

    assert (preview.state, held.state) == ("failed", "held")
    assert "which stands for Outreach Duplicate: see Set-up, Fields" in preview.note
    case = Case.objects.get(kind="mapping")
    assert "Set-up, Fields" in case.remedy and "Outreach Duplicate" in case.sentence
    columns_of(box, "organisations")["cf_other"] = Column("cf_other", "Outreach Duplicate", "boolean")
    fields_read(box.sync_pass, wiring=box.wiring)

    case.refresh_from_db()
    box.sync_pass.refresh_from_db()
    assert (case.state, box.sync_pass.hold_reason) == ("closed", "")
    assert box.run().created == 1
