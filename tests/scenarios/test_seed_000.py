"""Seed 000 in its own words, through the real pass against the sandbox."""

import pytest

from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, PEER_URL, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_a_new_organisation_becomes_an_account_and_gets_id_and_url_back():
    box = make()
    id_ = box.organisation("Northwind Pumps", website="https://www.northwind.example/x", organisation_num_employees=12)

    run = box.run()

    account = box.accounts("Northwind Pumps")[0]
    assert (run.state, run.seen, run.created, run.failed) == ("finished", 1, 1, 0), run.note
    assert account["domain"] == "northwind.example"
    assert account["numberOfEmployees"] == 12
    assert account["customId"] == f"wb-3-{id_}"
    assert box.show(id_)[PEER_ID] == str(account["id"])
    assert box.show(id_)[PEER_URL] == f"http://127.0.0.1:8900/browse/outreach/accounts/{account['id']}"


def test_a_second_pass_reads_the_echo_and_writes_nothing():
    box = make()
    box.organisation("Northwind Pumps")
    box.run()
    box.calls()

    run = box.run(forward=10)

    assert (run.seen, run.unchanged) == (1, 1)
    assert box.calls() == {"GET /crm/organisations.api": 1}


def test_a_quiet_pass_is_one_read_and_no_call_to_outreach():
    box = make()
    box.organisation("Northwind Pumps")
    box.run()
    box.run()
    box.calls()

    run = box.run(forward=400)
    run = box.run(forward=400)

    assert run.seen == 0
    assert box.calls() == {"GET /crm/organisations.api": 2}


def test_a_name_that_outreach_knows_flags_a_duplicate_and_creates_nothing():
    box = make()
    there = box.world.outreach.create_record("accounts", {"name": "Northwind Pumps"})
    id_ = box.organisation("Northwind Pumps")

    run = box.run()

    assert (run.duplicates, run.created) == (1, 0)
    assert box.show(id_)[DUPLICATE] is True
    assert box.show(id_)[PEER_ID] == ""
    assert [a["id"] for a in box.accounts()] == [there["id"]]
    assert box.accounts()[0]["updatedAt"] == there["updatedAt"]


def test_two_new_organisations_with_one_name_make_one_account_and_one_duplicate():
    box = make()
    first, second = box.organisation("Twin Foods"), box.organisation("twin  foods")

    run = box.run()

    assert (run.created, run.duplicates) == (1, 1)
    assert len(box.accounts()) == 1
    assert box.show(second)[DUPLICATE] is True and box.show(first)[DUPLICATE] is False


def test_an_update_sends_only_the_changed_fields():
    box = make()
    id_ = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    account = box.accounts()[0]
    box.world.outreach.update_record("accounts", account["id"], {"locality": "typed by a colleague"})
    box.clock.forward(30)
    box.edit(id_, industry="Health")

    run = box.run()

    assert run.updated == 1
    assert box.accounts()[0]["industry"] == "Health"
    assert box.accounts()[0]["locality"] == "typed by a colleague"


def test_the_owner_is_the_user_with_exactly_that_username_else_blank():
    box = make()
    box.organisation("Exact", assigned_to_name="Priya_Nair")
    box.organisation("By case", assigned_to_name="priya_nair")

    run = box.run()

    assert run.created == 2
    assert box.accounts("Exact")[0]["owner"] == 1
    assert box.accounts("By case")[0]["owner"] is None


def test_a_refused_organisation_gets_the_error_flag_and_is_left_out_until_reset():
    box = make()
    id_ = box.organisation("Bad employees")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})

    run = box.run()
    assert (run.failed, box.show(id_)[ERROR]) == (1, True)
    assert box.run().seen == 0
    box.edit(id_, **{ERROR: False})
    again = box.run()

    assert (again.created, box.show(id_)[ERROR]) == (1, False)


def test_employed_people_hang_on_the_right_account():
    box = make()
    other = box.world.outreach.create_record("accounts", {"name": "Old employer"})
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ada", "emails": ["ada@x.example"], "account": other["id"]})
    id_ = box.organisation("Northwind Pumps")
    person = {"name": "Ada Byrne", "employer_link": id_, "main_location[email]": "ADA@x.example", "cf_person_sync_to_outreach": True}
    box.world.workbooks.create_record("people", person)

    run = box.run()

    account = box.accounts("Northwind Pumps")[0]
    assert run.related["prospects_moved"] == 1
    assert box.world.outreach.get_record("prospects", prospect["id"])["account"] == account["id"]


def test_an_unanswered_create_is_adopted_and_never_made_twice():
    box = make()
    id_ = box.organisation("Northwind Pumps")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})

    first = box.run()
    second = box.run()

    assert (first.state, first.held) == ("interrupted", 1)
    assert second.state == "finished"
    assert len(box.accounts()) == 1
    assert box.show(id_)[PEER_ID] == str(box.accounts()[0]["id"])
    assert box.show(id_)[DUPLICATE] is False
