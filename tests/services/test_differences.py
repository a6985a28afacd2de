"""What differs since two records were linked (D25) and blanks that a rule holds back (D30): listed, and forced on request."""

import pytest
from django.contrib.auth.models import User

from connectors.contract import Ref
from reconciliation.models import AuditEntry, Binding, Case, Difference, FieldRule, MappingTable, Operation
from reconciliation.selectors import coverage_counts
from reconciliation.services.coverage import Slice, coverage_count, live_list
from reconciliation.services.differences import chosen, force, force_plan
from reconciliation.services.duplicates import Decision, duplicate_link
from reconciliation.services.record_history import field_history
from reconciliation.services.undo import undo, undoable
from tests.admin.test_pages import log_in
from tests.sandboxed import PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box():
    return make()


@pytest.fixture
def linked(box, olga):
    """An organisation that a colleague linked to an account with another industry, and a town Workbooks does not know."""
    account = box.world.outreach.create_record("accounts", {"name": "Northwind Pumps", "industry": "Food", "locality": "Leeds"})
    id_ = box.organisation("Northwind Pumps", industry="Health", website="https://n.example")
    box.run()
    duplicate_link(Decision(Case.objects.get(), olga, wiring=box.wiring), str(account["id"]))
    return id_, account["id"]


def listed(kind=None):
    rows = Difference.objects.filter(**({"kind": kind} if kind else {}))
    return {d.peer_field: (d.crm_value, d.peer_value) for d in rows}


def account_of(box, id_):
    return box.world.outreach.get_record("accounts", id_)


def test_a_link_lists_each_field_that_differs_and_the_blanks_apart(box, linked):
    fields = listed("linked")
    assert fields["industry"] == ("Health", "Food") and fields["websiteUrl"] == ("https://n.example", None)
    assert listed("blank") == {"locality": (None, "Leeds")}
    assert "name" not in listed()


def test_a_created_account_has_none(box):
    box.organisation("Fresh Foods", industry="Food")
    box.run()

    assert not Difference.objects.exists()


def test_a_field_that_agrees_once_is_off_the_list_and_a_later_edit_there_is_no_difference_since_linking(box, linked):
    id_, account = linked
    box.clock.forward(300)
    box.run()
    box.edit(id_, industry="Energy")
    box.run()
    assert account_of(box, account)["industry"] == "Energy" and "industry" not in listed()

    box.world.outreach.update_record("accounts", account, {"industry": "typed there"})
    box.edit(id_, organisation_num_employees=7)
    box.run()

    assert "industry" not in listed() and "websiteUrl" in listed()


def test_an_id_typed_in_workbooks_lists_what_fill_blanks_leaves(box):
    account = box.world.outreach.create_record("accounts", {"name": "Typed", "industry": "Food"})
    box.organisation("Typed Ltd", industry="Health", website="https://t.example", **{PEER_ID: str(account["id"])})
    box.run()

    assert listed("linked") == {"name": ("Typed Ltd", "Typed"), "industry": ("Health", "Food")}
    assert account_of(box, account["id"])["websiteUrl"] == "https://t.example"


def test_crm_wins_leaves_no_difference(box):
    MappingTable.objects.update(on_first_link="crm")
    account = box.world.outreach.create_record("accounts", {"name": "Typed", "industry": "Food"})
    box.organisation("Typed Ltd", industry="Health", **{PEER_ID: str(account["id"])})
    box.run()

    assert not Difference.objects.filter(kind="linked").exists()


def plan(box, **which):
    return force_plan(chosen(list(Difference.objects.filter(**which).values_list("pk", flat=True))), wiring=box.wiring)


def test_forcing_shows_first_and_then_writes_only_these_fields(box, linked, olga):
    _, account = linked
    (line,) = plan(box, peer_field="industry")
    assert (line.now, line.becomes, line.refusal) == ("Food", "Health", "")
    box.calls()

    done = force([line.key], olga, reason="ours is right", wiring=box.wiring)

    assert (done.written, done.refusals) == (1, ())
    assert account_of(box, account)["industry"] == "Health" and not account_of(box, account).get("websiteUrl")
    assert box.calls()["PATCH /api/v2/accounts/{id}"] == 1
    assert "industry" not in listed() and "websiteUrl" in listed()
    assert AuditEntry.objects.filter(action="force values", detail__reason="ours is right").exists()


def test_many_fields_of_one_account_are_one_write_and_the_next_pass_has_nothing_to_do(box, linked, olga):
    box.calls()
    lines = plan(box, kind="linked")

    done = force([line.key for line in lines], olga, wiring=box.wiring)

    assert done.written == len(lines) > 1 and box.calls()["PATCH /api/v2/accounts/{id}"] == 1
    run = box.run()
    assert (run.updated, run.failed) == (0, 0)
    binding = Binding.objects.get()
    assert binding.crm_base["industry"] == binding.peer_base["industry"] == "Health"


def test_the_history_of_the_field_names_the_colleague_the_reason_and_the_rule(box, linked, olga):
    id_, _ = linked
    force([plan(box, peer_field="industry")[0].key], olga, reason="ours is right", wiring=box.wiring)

    (change,) = field_history(box.sync_pass, Ref("workbooks", "organisation", str(id_)), "industry").changes

    assert (change.how, change.who, change.why) == ("Decision", "olga", "ours is right")
    assert (change.before, change.after, change.rule.peer_field) == ("Food", "Health", "industry")


def test_a_value_that_changed_since_it_was_shown_is_not_written(box, linked, olga):
    _, account = linked
    (line,) = plan(box, peer_field="industry")
    box.world.outreach.update_record("accounts", account, {"industry": "typed meanwhile"})

    done = force([line.key], olga, wiring=box.wiring)

    assert done.written == 0 and "Changed since it was shown" in done.refusals[0]
    assert account_of(box, account)["industry"] == "typed meanwhile"


def test_what_agrees_by_now_only_leaves_the_list(box, linked, olga):
    _, account = linked
    box.world.outreach.update_record("accounts", account, {"industry": "Health"})
    (line,) = plan(box, peer_field="industry")
    box.calls()

    done = force([line.key], olga, wiring=box.wiring)

    assert line.agrees and (done.written, done.agreed) == (0, 1)
    assert "PATCH /api/v2/accounts/{id}" not in box.calls() and "industry" not in listed()


def test_nothing_is_forced_where_the_organisation_is_switched_off(box, linked):
    id_, _ = linked
    box.edit(id_, **{SYNC: False})

    (line,) = plan(box, peer_field="industry")

    assert "Sync to Outreach" in line.refusal


@pytest.fixture
def held(box):
    """A linked organisation whose industry was emptied in Workbooks."""
    id_ = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    box.clock.forward(300)
    box.run()
    box.edit(id_, industry=None)
    box.run()
    return id_, box.accounts()[0]["id"]


def test_a_blank_that_is_held_back_is_listed_and_gone_when_the_field_is_filled_again(box, held):
    id_, account = held
    assert listed() == {"industry": (None, "Food")} and listed("blank") == listed()
    assert account_of(box, account)["industry"] == "Food"

    box.edit(id_, industry="Energy")
    box.run()

    assert listed() == {}


def test_the_other_side_is_blanked_too_on_request(box, held, olga):
    _, account = held
    (line,) = plan(box, kind="blank")
    assert line.becomes is None and not line.refusal

    force([line.key], olga, wiring=box.wiring)

    assert not account_of(box, account)["industry"]
    assert listed() == {} and box.run().updated == 0


def test_a_required_field_is_never_blanked(box, linked):
    row = Difference.objects.get(peer_field="locality")
    Difference.objects.filter(pk=row.pk).update(peer_field="name", crm_field="organisation_category")
    FieldRule.objects.filter(peer_field="name").update(crm_field="organisation_category")

    (line,) = plan(box, pk=row.pk)

    assert "no blank" in line.refusal


def test_workbooks_is_counted_on_request_and_its_lists_are_live(box, olga):
    box.organisation("Waits")
    for n in range(60):
        box.world.workbooks.create_record("organisations", {"name": f"Not ticked {n}"})
    row = coverage_count(box.sync_pass, olga, wiring=box.wiring)
    box.run()

    assert (row.counts["organisations"], row.counts["ticked"], row.counts["waiting"], row.counts["in_outreach"]) == (61, 1, 1, 0)
    first = live_list(box.sync_pass, "organisations", wiring=box.wiring)
    second = live_list(box.sync_pass, "organisations", Slice(first.position.updated_at, first.position.id), wiring=box.wiring)
    ids = [r.ref.id for r in (*first.records, *second.records)]
    assert len(ids) == len(set(ids)) == 61 and second.position is None
    assert live_list(box.sync_pass, "waiting", wiring=box.wiring).records == ()


def test_a_forced_value_that_is_taken_back_stands_in_the_list_again_until_it_agrees(box, linked, olga):
    id_, account = linked
    (row,) = Difference.objects.filter(peer_field="industry")
    (line,) = force_plan([row], wiring=box.wiring)
    force([line.key], olga, wiring=box.wiring)
    assert account_of(box, account)["industry"] == "Health" and "industry" not in listed()

    operation = Operation.objects.filter(after__industry="Health", object_type="account").latest("pk")
    undo(box.sync_pass, [operation], olga, wiring=box.wiring)

    assert account_of(box, account)["industry"] == "Food" and listed("linked")["industry"] == ("Health", "Food")
    box.run(is_full=True)
    assert account_of(box, account)["industry"] == "Food" and "industry" in listed()
    box.edit(id_, industry="Energy")
    box.run()
    assert account_of(box, account)["industry"] == "Energy" and "industry" not in listed()


def test_a_write_of_a_pass_that_is_taken_back_is_listed_too(box, olga):
    id_ = box.organisation("Fresh Foods", industry="Food")
    box.run()
    box.clock.forward(300)
    box.edit(id_, industry="Energy")
    run = box.run()

    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert listed() == {"industry": ("Energy", "Food")}


def test_what_differs_on_an_ended_link_is_neither_listed_nor_counted(client):
    box = make()
    log_in(client, "viewer")
    for n, kind in enumerate(("linked", "linked", "blank")):
        bound = {"crm_id": str(n), "peer_id": str(n), "is_tombstone": n == 0, "bound_at": box.clock.at, "synced_at": box.clock.at}
        binding = Binding.objects.create(sync_pass=box.sync_pass, **bound)
        values = {"crm_field": "industry", "peer_field": "industry", "noted_at": box.clock.at}
        Difference.objects.create(sync_pass=box.sync_pass, binding=binding, kind=kind, **values)

    counts = coverage_counts([box.sync_pass.pk])[box.sync_pass.pk]

    assert (counts["differences"], counts["blanks"]) == ("1", "1")
    assert "Differences since linking: 1" in client.get("/differences/").content.decode()


def test_an_undo_after_a_link_was_moved_is_noted_with_the_link_that_holds(box, olga):
    account = box.world.outreach.create_record("accounts", {"name": "Moved Co", "industry": "Food"})
    for _ in range(2):
        second = box.organisation("Moved Co", industry="Food")
        box.run()
        duplicate_link(Decision(Case.objects.get(state="open"), olga, wiring=box.wiring), str(account["id"]), move=True)
    box.edit(second, industry="Health")
    run = box.run()

    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert Binding.objects.get(is_tombstone=False).peer_base["industry"] == account_of(box, account["id"])["industry"] == "Food"
    assert Difference.objects.get().binding.crm_id == str(second) and listed() == {"industry": ("Health", "Food")}
