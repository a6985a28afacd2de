"""Yesterday's backup is put back and the passes run: no duplicate, no value set back; what cannot be known is a case.

The remote systems go on; only our database is a day older."""

import random
from datetime import timedelta

import pytest
from django.core.management import call_command

from reconciliation.models import Binding, Case, Connection, Difference, MappingTable, Operation, Run, SyncPass
from reconciliation.services.duplicates import Decision, duplicate_different, duplicate_link
from reconciliation.services.errors import error_retry
from reconciliation.services.restored_backup import database_restored
from reconciliation.services.undo import undo, undoable
from tests.acceptance import backups
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
DAY = 86400
WRITES = ("POST /api/v2/accounts", "PATCH /api/v2/accounts/{id}", "PATCH /api/v2/prospects/{id}")


@pytest.fixture
def box():
    call_command("migrate", verbosity=0)
    box = make()
    box.known = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    box.run(forward=600)
    return box


@pytest.fixture
def backup(box, tmp_path):
    box.backup = backups.take(tmp_path)
    box.clock.forward(3600)
    return box


def restore(box, *, forward=DAY):
    """Puts the backup back a day later, says so, and forgets what the calls were until then."""
    box.clock.forward(forward)
    tokens = Connection.objects.get(system="outreach").secrets
    backups.put_back(box.backup)
    box.sync_pass.refresh_from_db()
    # As an admin presses Reconnect: the backup's refresh token was used up since (test below).
    Connection.objects.filter(system="outreach").update(secrets=tokens)
    database_restored(wiring=box.wiring)
    box.sync_pass.refresh_from_db()
    box.calls()


def account_of(box, id_):
    return box.world.outreach.get_record("accounts", int(box.show(id_)[PEER_ID]))


def written(box):
    calls = box.calls()
    return {name: calls[name] for name in WRITES if calls.get(name)}


def test_what_was_created_since_is_linked_again_and_nothing_is_written(backup):
    box = backup
    new = box.organisation("Fresh Foods", industry="Health")
    box.run()
    accounts = box.accounts()
    restore(box)

    run = box.run()

    assert (run.state, run.created, run.duplicates, run.failed) == ("finished", 0, 0, 0)
    assert box.accounts() == accounts and written(box) == {}
    assert Binding.objects.get(crm_id=str(new)).peer_id == box.show(new)[PEER_ID]


def test_what_was_created_and_renamed_since_is_found_by_its_key(backup):
    box = backup
    new = box.organisation("Fresh Foods")
    box.run()
    account = account_of(box, new)
    box.world.outreach.update_record("accounts", account["id"], {"name": "Fresh Foods International"})
    box.edit(new, **{PEER_ID: ""})  # its Id never arrived in Workbooks
    restore(box)

    run = box.run()

    assert len(box.accounts()) == 2 and run.duplicates == 0
    assert Binding.objects.get(crm_id=str(new)).peer_id == str(account["id"])
    assert account_of(box, new)["name"] == "Fresh Foods International"
    assert Case.objects.get().reason == "restored" and "International" in Case.objects.get().sentence


def test_a_value_sent_since_and_then_changed_in_outreach_is_not_set_back(backup):
    box = backup
    box.edit(box.known, industry="Health")
    box.run()
    box.clock.forward(600)
    box.world.outreach.update_record("accounts", account_of(box, box.known)["id"], {"industry": "typed there"})
    restore(box)

    run = box.run()

    assert account_of(box, box.known)["industry"] == "typed there"
    assert (run.failed, run.updated, written(box)) == (1, 0, {})
    case = Case.objects.get()
    assert case.reason == "restored" and "“Health” here and “typed there” in Outreach" in case.sentence
    assert box.show(box.known)[ERROR] is True


def test_a_value_sent_since_and_then_put_back_in_outreach_is_not_sent_again(backup):
    box = backup
    box.edit(box.known, industry="Health")
    box.run()
    box.clock.forward(600)
    box.world.outreach.update_record("accounts", account_of(box, box.known)["id"], {"industry": "Food"})
    restore(box)

    box.run()

    assert account_of(box, box.known)["industry"] == "Food"
    assert Case.objects.get().reason == "restored"


def test_a_restore_nobody_spoke_of_is_noticed_by_an_account_we_do_not_remember(backup):
    box = backup
    box.organisation("Fresh Foods")
    box.edit(box.known, industry="Health")
    box.run()
    box.clock.forward(600)
    box.world.outreach.update_record("accounts", account_of(box, box.known)["id"], {"industry": "typed there"})
    tokens = Connection.objects.get(system="outreach").secrets
    backups.put_back(box.backup)
    Connection.objects.filter(system="outreach").update(secrets=tokens)
    box.sync_pass.refresh_from_db()
    box.calls()

    run = box.run(forward=DAY)

    assert account_of(box, box.known)["industry"] == "typed there"
    assert (run.failed, run.unchanged, written(box)) == (1, 1, {})
    assert Case.objects.get().reason == "restored" and SyncPass.objects.get().restored_at is None


def test_a_person_decides_and_workbooks_value_goes(backup, django_user_model):
    box = backup
    box.edit(box.known, industry="Health")
    box.run()
    box.world.outreach.update_record("accounts", account_of(box, box.known)["id"], {"industry": "typed there"})
    restore(box)
    box.run()

    error_retry([Case.objects.get()], django_user_model.objects.create_user("olga"), wiring=box.wiring)
    run = box.run()

    assert run.updated == 1 and account_of(box, box.known)["industry"] == "Health"
    assert not Case.objects.filter(state="open").exists()


def test_a_decision_that_was_under_way_then_keeps_saying_what_it_was(box, tmp_path):
    Run.objects.create(sync_pass=box.sync_pass, kind="staff", started_at=box.clock.at, note="Undo 300 writes.", started_by="olga")
    box.backup = backups.take(tmp_path)
    restore(box)

    run = Run.objects.get(kind="staff")
    assert (run.state, run.note) == (
        "interrupted",
        "Undo 300 writes. The database was restored from a backup made while this run was under way.",
    )


def test_an_edit_that_was_never_sent_is_sent_when_the_account_was_not_touched(backup):
    box = backup
    box.edit(box.known, industry="Health")  # and no run before the disk broke
    restore(box)

    run = box.run()

    assert (run.updated, run.failed) == (1, 0)
    assert account_of(box, box.known)["industry"] == "Health"


def test_values_sent_since_are_agreed_again_without_a_write_and_later_edits_flow(backup):
    box = backup
    box.edit(box.known, industry="Health")
    box.run()
    restore(box)

    assert box.run().unchanged == 1 and written(box) == {}
    assert SyncPass.objects.get().restored_at is None
    box.run(forward=600)
    box.world.outreach.update_record("accounts", account_of(box, box.known)["id"], {"locality": "York"})
    box.edit(box.known, industry="Energy")
    run = box.run()

    assert (run.updated, run.failed) == (1, 0)
    assert account_of(box, box.known)["industry"] == "Energy"


def test_a_token_used_up_since_stops_the_pass_and_flags_nobody(backup):
    box = backup
    box.organisation("Fresh Foods")
    box.world.outreach.desk.strict_rotation = True
    for _ in range(3):
        box.run(forward=DAY / 3)
    backups.put_back(box.backup)
    database_restored(wiring=box.wiring)
    box.sync_pass.refresh_from_db()

    run = box.run(forward=DAY)

    assert run.state == "interrupted"
    assert Connection.objects.get(system="outreach").state == "needs_attention"
    assert not Case.objects.exists() and len(box.accounts()) == 2


def link_left_different(box, user):
    """Returns an organisation that somebody linked to an account whose industry is blank, and left it so."""
    box.clock.forward(3600)
    case = Case.objects.get()
    duplicate_link(Decision(case, user, wiring=box.wiring), case.candidates[0]["peer_id"])
    box.run()
    return int(case.crm_id)


def test_what_was_left_different_by_a_link_since_stays_and_is_listed(box, tmp_path, django_user_model):
    box.world.outreach.create_record("accounts", {"name": "Linked", "industry": ""})
    box.organisation("Linked", industry="Food")
    box.run()
    box.backup = backups.take(tmp_path)
    id_ = link_left_different(box, django_user_model.objects.create_superuser("olga"))
    restore(box)

    first, second = box.run(), box.run(forward=600)

    assert not account_of(box, id_)["industry"] and written(box) == {}
    assert (first.failed, first.duplicates, second.failed) == (0, 0, 0)
    assert list(Difference.objects.filter(binding__crm_id=str(id_), kind="linked").values_list("peer_field", flat=True)) == ["industry"]
    assert not Case.objects.filter(state="open").exists()


@pytest.mark.parametrize("policy", ["fill_blanks", "crm"])
def test_a_first_link_made_since_fills_nothing_again(box, tmp_path, policy):
    """Somebody typed the Id into Workbooks, and blanked in Outreach what the link had filled."""
    MappingTable.objects.update(on_first_link=policy)
    account = box.world.outreach.create_record("accounts", {"name": "By hand", "industry": ""})["id"]
    box.backup = backups.take(tmp_path)
    box.clock.forward(3600)
    id_ = box.organisation("By hand", industry="Food", **{PEER_ID: str(account)})
    box.run()
    assert account_of(box, id_)["industry"] == "Food"
    box.world.outreach.update_record("accounts", account, {"industry": ""})
    elsewhere = box.world.outreach.create_record("accounts", {"name": "Where she works now"})["id"]
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ann", "emails": ["ann@x.example"], "account": elsewhere})["id"]
    person = {"name": "Ann", "employer_link": id_, "cf_person_sync_to_outreach": True, "cf_person_outreach_id": str(prospect)}
    box.world.workbooks.create_record("people", person)
    before = box.world.outreach.get_record("prospects", prospect)
    restore(box)

    for _ in range(3):
        box.run(forward=600)

    assert not account_of(box, id_)["industry"] and written(box) == {}
    assert box.world.outreach.get_record("prospects", prospect) == before
    assert Difference.objects.get(binding__crm_id=str(id_), peer_field="industry").kind == "linked"


def test_flags_set_since_become_cases_and_stay_as_they_are(backup):
    box = backup
    box.world.outreach.create_record("accounts", {"name": "Twice"})
    twin = box.organisation("Twice")
    refused = box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    assert box.show(twin)[DUPLICATE] and box.show(refused)[ERROR]
    restore(box)

    box.run()
    box.run()

    cases = {c.crm_id: c for c in Case.objects.filter(state="open")}
    assert {c.kind for c in cases.values()} == {"duplicate", "error"}
    assert [c["name"] for c in cases[str(twin)].candidates] == ["Twice"]
    assert box.show(twin)[DUPLICATE] and box.show(refused)[ERROR]


def test_decisions_taken_since_make_no_duplicate(backup, django_user_model):
    box = backup
    user = django_user_model.objects.create_user("olga")
    for name in ("Linked", "Different"):
        box.world.outreach.create_record("accounts", {"name": name})
        setattr(box, name.lower(), box.organisation(name))
    box.run()
    linked, different = (Case.objects.get(name=name) for name in ("Linked", "Different"))
    duplicate_link(Decision(linked, user, wiring=box.wiring), linked.candidates[0]["peer_id"])
    duplicate_different(Decision(different, user, wiring=box.wiring))
    box.run()
    accounts = box.accounts()
    restore(box)

    run = box.run()

    assert box.accounts() == accounts and run.duplicates == 0
    assert Binding.objects.count() == 3 and not Case.objects.filter(state="open").exists()


def test_an_account_that_was_in_doubt_then_and_deleted_since_is_not_created_again(box, tmp_path):
    new = box.organisation("Doubtful")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    assert Operation.objects.filter(state="sent", kind="create").count() == 1
    box.backup = backups.take(tmp_path)
    box.run(forward=600)
    box.run(forward=600)
    box.world.outreach.delete_record("accounts", account_of(box, new)["id"])
    restore(box)

    box.run()
    box.run(forward=600)

    assert box.accounts("Doubtful") == []
    assert Case.objects.get(crm_id=str(new)).reason == "account_gone"


@pytest.fixture
def doubtful(box, tmp_path):
    """An organisation whose create was not answered before the backup, and got its account afterwards."""
    id_ = box.organisation("Doubtful", industry="Food")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    assert Operation.objects.filter(state="sent", kind="create").count() == 1
    box.backup = backups.take(tmp_path)
    box.run(forward=600)
    box.run(forward=600)
    assert box.show(id_)[PEER_ID]
    box.clock.forward(3600)
    return id_


def test_an_account_that_was_in_doubt_then_and_edited_since_keeps_what_was_typed(box, doubtful):
    account = account_of(box, doubtful)["id"]
    box.world.outreach.update_record("accounts", account, {"industry": "typed there"})
    restore(box)

    for _ in range(3):
        box.run(forward=600)

    assert account_of(box, doubtful)["industry"] == "typed there" and written(box) == {}
    case = Case.objects.get()
    assert case.reason == "restored" and "“Food” here and “typed there” in Outreach" in case.sentence
    assert Binding.objects.get(crm_id=str(doubtful)).peer_id == str(account)
    assert len(box.accounts()) == 2


@pytest.mark.parametrize("age", [60, 7200])  # of the unanswered create when the backup was made
def test_an_account_that_was_in_doubt_then_and_renamed_since_is_no_second_one(box, doubtful, age, monkeypatch):
    monkeypatch.setattr("connectors.outreach.connector.SEARCHABLE", ("id", "name"))  # keys are found by reading what is new
    account = account_of(box, doubtful)["id"]
    box.world.outreach.update_record("accounts", account, {"name": "Beyond Doubt"})
    box.edit(doubtful, **{PEER_ID: ""})
    restore(box)
    SyncPass.objects.update(restored_to=Operation.objects.get(state="sent", kind="create").intended_at + timedelta(seconds=age))
    box.sync_pass.refresh_from_db()

    for _ in range(3):
        box.run(forward=600)

    assert account_of(box, doubtful)["name"] == "Beyond Doubt" and len(box.accounts()) == 2
    assert Binding.objects.get(crm_id=str(doubtful)).peer_id == str(account)
    assert Case.objects.get().reason == "restored"


def test_an_account_that_was_in_doubt_then_and_is_as_it_was_made_is_linked(box, doubtful):
    accounts = box.accounts()
    restore(box)

    run = box.run()

    assert (run.state, run.created, run.failed) == ("finished", 0, 0) and written(box) == {}
    assert box.accounts() == accounts and not Case.objects.exists()
    assert Binding.objects.get(crm_id=str(doubtful)).peer_id == box.show(doubtful)[PEER_ID]


def test_a_create_in_doubt_after_the_restore_is_adopted_as_ever(backup):
    box = backup
    restore(box)
    new = box.organisation("Doubtful", industry="Food")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    assert SyncPass.objects.get().restored_at is not None  # the sweep did not end

    box.run(forward=600)

    assert Binding.objects.get(crm_id=str(new)).how == "adopted"
    assert account_of(box, new)["industry"] == "Food" and not Case.objects.exists()


def test_an_outreach_whose_clock_is_behind_has_nothing_set_back(box, tmp_path):
    box.world.faults.add({"kind": "clock_skew", "system": "outreach", "seconds": -600})
    box.run()
    box.backup = backups.take(tmp_path)
    box.clock.forward(300)
    box.edit(box.known, industry="Health")
    box.run()
    box.world.outreach.update_record("accounts", account_of(box, box.known)["id"], {"industry": "typed there"})
    restore(box)

    box.run()

    assert account_of(box, box.known)["industry"] == "typed there"
    assert Case.objects.get().reason == "restored"


@pytest.fixture
def owed(box, tmp_path):
    """An organisation whose account exists and whose Id was owed to it when the backup was made. Nobody ran since."""
    id_ = box.organisation("Owed")
    fault = {"kind": "status", "status": 503, "system": "workbooks", "method": "PUT", "path": "/crm/organisations.api", "times": 1}
    box.world.faults.add(fault)
    box.run()
    assert Binding.objects.get(crm_id=str(id_)).is_write_back_due and not box.show(id_)[PEER_ID]
    box.backup = backups.take(tmp_path)
    box.clock.forward(3600)
    return id_


def test_an_id_that_was_owed_then_is_written_where_nothing_changed(box, owed):
    restore(box)

    box.run()

    assert box.show(owed)[PEER_ID] == Binding.objects.get(crm_id=str(owed)).peer_id
    assert not Case.objects.exists() and len(box.accounts("Owed")) == 1


def test_an_id_that_was_owed_then_is_not_written_after_the_create_was_undone(box, owed, django_user_model):
    box.run()
    run = Operation.objects.get(kind="create", origin__name="Owed").run
    undo(box.sync_pass, list(undoable(run)), django_user_model.objects.create_superuser("olga"), wiring=box.wiring)
    before = box.show(owed)
    restore(box)

    for _ in range(3):
        assert box.run(forward=600).state == "finished"

    assert box.show(owed) == before and not before[PEER_ID] and not before[SYNC]
    assert box.accounts("Owed") == []


@pytest.mark.parametrize("what", ["unticked", "account deleted", "key removed"])
def test_an_id_that_was_owed_then_is_left_to_the_sweep_where_somebody_took_it_away(box, owed, what):
    account = box.accounts("Owed")[0]["id"]
    if what == "unticked":
        box.edit(owed, **{SYNC: False})
    elif what == "account deleted":
        box.world.outreach.delete_record("accounts", account)
    else:
        box.world.outreach.update_record("accounts", account, {"customId": ""})
    accounts = box.accounts()
    restore(box)

    box.run()
    box.run(forward=600)

    assert not box.show(owed)[PEER_ID] and box.accounts() == accounts
    assert [c.reason for c in Case.objects.all()] == ([] if what == "unticked" else ["id_blanked"])


def test_an_id_that_was_owed_then_and_was_written_since_is_not_written_again(box, owed):
    box.run()
    elsewhere = box.world.outreach.create_record("accounts", {"name": "Where she works now"})["id"]
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ann", "emails": ["ann@x.example"], "account": elsewhere})["id"]
    person = {"name": "Ann", "employer_link": owed, "cf_person_sync_to_outreach": True, "cf_person_outreach_id": str(prospect)}
    box.world.workbooks.create_record("people", person)
    before = box.show(owed), box.world.outreach.get_record("prospects", prospect)
    assert before[0][PEER_ID]
    restore(box)

    box.run()

    assert (box.show(owed), box.world.outreach.get_record("prospects", prospect)) == before and not Case.objects.exists()
    assert not Binding.objects.get(crm_id=str(owed)).is_write_back_due


def test_a_flag_that_was_owed_then_and_is_settled_since_is_not_set(box, tmp_path):
    """The backup fell between a case and its flag."""
    Case.objects.create(
        sync_pass=box.sync_pass, kind="error", crm_id=str(box.known), reason="refused", sentence="x", opened_at=box.clock.at, flag="owed"
    )
    box.backup = backups.take(tmp_path)
    Case.objects.update(state="closed")
    restore(box)

    box.run()

    assert not box.show(box.known)[ERROR]


def test_prospects_moved_since_by_hand_stay_where_they_are(backup):
    box = backup
    new = box.organisation("Fresh Foods")
    box.run()
    elsewhere = box.world.outreach.create_record("accounts", {"name": "Where she works now"})["id"]
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ann", "emails": ["ann@fresh.example"], "account": elsewhere})
    person = {"name": "Ann", "employer_link": new, "cf_person_sync_to_outreach": True, "cf_person_outreach_id": str(prospect["id"])}
    box.world.workbooks.create_record("people", person)
    before = box.world.outreach.get_record("prospects", prospect["id"])
    restore(box)

    box.run()
    box.run()

    assert box.world.outreach.get_record("prospects", prospect["id"]) == before


@pytest.mark.parametrize("seed", range(3))
def test_a_whole_day_of_work_restored_changes_nothing_in_outreach(box, tmp_path, seed):
    """Whatever happened in the lost day, the passes write nothing to Outreach that was not pending, and make no account."""
    chance = random.Random(seed)
    ids = [box.known] + [box.organisation(f"Company of before {n}", industry="Food") for n in range(12)]
    box.run()
    box.run(forward=600)
    box.backup = backups.take(tmp_path)
    for hour in range(12):
        for n in range(chance.randint(0, 3)):
            ids.append(box.organisation(f"Company {hour} {n}", industry=chance.choice(["Food", "Health"])))
        for id_ in chance.sample(ids, min(3, len(ids))):
            box.edit(id_, industry=chance.choice(["Food", "Health", "Energy"]))
        box.run(forward=3600)
        for account in chance.sample(box.accounts(), 3):
            box.world.outreach.update_record("accounts", account["id"], {"industry": chance.choice(["Food", "typed", "Energy"])})
        if chance.random() < 0.2:
            box.edit(chance.choice(ids), **{SYNC: False})
        box.run(forward=3600)
    box.run()
    before = box.accounts()
    restore(box, forward=600)

    for _ in range(4):
        run = box.run()

    assert run.state == "finished"
    assert box.accounts() == before
    assert not Case.objects.filter(kind="duplicate").exists()
    for case in Case.objects.all():
        assert case.reason == "restored" and case.sentence
