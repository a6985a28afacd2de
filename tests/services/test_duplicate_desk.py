"""Bulk links by equal domain, decisions taken back, who sits on a case, accounts that are gone, owners found later."""

import pytest
from django.contrib.auth.models import User

from reconciliation.models import Binding, Case, RememberedPair, RunEvent
from reconciliation.passes.organisations import same_domain
from reconciliation.services import duplicates, errors, owners
from reconciliation.services.case_desk import sit_down
from reconciliation.services.duplicate_bulk import duplicates_link, equal_domains
from reconciliation.services.duplicate_undo import duplicate_undo, plan_undo
from reconciliation.services.duplicates import Decision, DecisionRefused
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box():
    return make()


def duplicate(box, name="Northwind Pumps", **account):
    """Makes an account and an organisation of one name, runs, and returns organisation id, account id and case."""
    made = box.world.outreach.create_record("accounts", {"name": name, **account})
    id_ = box.organisation(name, website=f"https://www.{name.split()[0].lower()}.example/about")
    box.run()
    return id_, made["id"], Case.objects.get(crm_id=str(id_), kind="duplicate")


# --- bulk -------------------------------------------------------------------------------------------------------------
def test_same_domain_needs_exactly_one_account_with_the_host_of_the_web_address():
    site = {"website": "http://www.Acme.example/x"}
    assert same_domain(site, {"1": {"domain": "acme.example"}, "2": {"domain": "other.example"}}) == ("1", "acme.example")
    assert same_domain(site, {"1": {"domain": "acme.example"}, "2": {"websiteUrl": "https://acme.example"}}) == ("", "")
    assert same_domain({"website": None}, {"1": {"domain": None}}) == ("", "")
    assert same_domain({"website": "not an address"}, {"1": {"domain": "not an address"}}) == ("", "")


def test_bulk_links_pairs_of_equal_domain_and_leaves_the_others(box, olga):
    same, account, _ = duplicate(box, "Acme Ltd", domain="acme.example")
    other, _, _ = duplicate(box, "Brook Plc", domain="elsewhere.example")

    rows = equal_domains()
    assert [(r.case.crm_id, r.peer_id, r.domain) for r in rows] == [(str(same), str(account), "acme.example")]
    assert duplicates_link([r.key for r in rows], olga, wiring=box.wiring) == (1, 0)

    assert (box.show(same)[PEER_ID], box.show(same)[DUPLICATE]) == (str(account), False)
    assert box.show(other)[DUPLICATE] is True
    assert RunEvent.objects.filter(run__kind="staff", outcome="updated", crm_ref=f"workbooks:organisation:{same}").count() == 1


def test_bulk_needs_few_calls_for_many(box, olga):
    for i in range(30):
        box.world.outreach.create_record("accounts", {"name": f"Firm{i} Ltd", "domain": f"firm{i}.example"})
        box.organisation(f"Firm{i} Ltd", website=f"https://firm{i}.example")
    box.run()
    keys = [r.key for r in equal_domains()]
    box.calls()

    assert duplicates_link(keys, olga, wiring=box.wiring) == (30, 0)

    calls = box.calls()
    assert calls["PUT /crm/organisations.api"] == 1
    assert sum(calls.values()) <= 5, calls


def test_bulk_refuses_a_row_that_changed_since_it_was_shown(box, olga):
    first, _, case = duplicate(box, "Acme Ltd", domain="acme.example")
    second, _, _ = duplicate(box, "Birch Ltd", domain="birch.example")
    keys = [r.key for r in equal_domains()]
    duplicates.duplicate_stop(Decision(case, olga, wiring=box.wiring))

    assert duplicates_link(keys, olga, wiring=box.wiring) == (1, 1)

    assert box.show(first)[PEER_ID] == ""
    refused = RunEvent.objects.get(reason="changed_meanwhile")
    assert refused.crm_ref.endswith(f":{first}") and "already closed" in refused.sentence


def test_bulk_never_links_two_organisations_to_one_account(box, olga):
    box.world.outreach.create_record("accounts", {"name": "Twin", "domain": "twin.example"})
    for _ in range(2):
        box.organisation("Twin", website="https://twin.example")
    box.run()

    linked, refused = duplicates_link([r.key for r in equal_domains()], olga, wiring=box.wiring)

    assert (linked, refused) == (1, 1)
    assert Binding.objects.filter(is_tombstone=False).count() == 1


# --- undo -------------------------------------------------------------------------------------------------------------
def test_undo_of_a_link_dissolves_it_and_opens_the_case_again(box, olga):
    id_, account, case = duplicate(box)
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account))
    case.refresh_from_db()

    duplicate_undo(Decision(case, olga, stamp=plan_undo(case).stamp, wiring=box.wiring))

    case.refresh_from_db()
    assert (case.state, box.show(id_)[PEER_ID], box.show(id_)[DUPLICATE]) == ("open", "", True)
    assert Binding.objects.get(crm_id=str(id_)).is_tombstone
    assert box.run().seen == 0
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account))
    assert box.show(id_)[PEER_ID] == str(account)


def test_undo_of_a_link_hangs_the_prospects_back(box, olga):
    id_, account, case = duplicate(box)
    elsewhere = box.world.outreach.create_record("accounts", {"name": "Elsewhere"})["id"]
    prospect = box.world.outreach.create_record("prospects", {"emails": ["ada@northwind.example"], "account": elsewhere})["id"]
    person = {"name": "Ada", "employer_link": id_, "main_location[email]": "ada@northwind.example", "cf_person_sync_to_outreach": True}
    box.world.workbooks.create_record("people", person)
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account))
    assert box.world.outreach.get_record("prospects", prospect)["account"] == account
    case.refresh_from_db()

    duplicate_undo(Decision(case, olga, wiring=box.wiring))

    assert box.world.outreach.get_record("prospects", prospect)["account"] == elsewhere


def test_undo_of_a_moved_link_gives_it_back(box, olga):
    id_, account, case = duplicate(box)
    holder = box.organisation("Holder", **{PEER_ID: str(account)})
    box.run()
    duplicates.duplicate_link(Decision(case, olga, wiring=box.wiring), str(account), move=True)
    case.refresh_from_db()

    duplicate_undo(Decision(case, olga, wiring=box.wiring))

    assert (box.show(holder)[PEER_ID], box.show(holder)[SYNC]) == (str(account), True)
    assert box.show(id_)[PEER_ID] == ""
    assert Binding.objects.get(peer_id=str(account), is_tombstone=False).crm_id == str(holder)


def test_undo_of_different_forgets_the_pair_unless_an_account_was_created_since(box, olga):
    id_, _, case = duplicate(box)
    duplicates.duplicate_different(Decision(case, olga, wiring=box.wiring))
    case.refresh_from_db()
    duplicate_undo(Decision(case, olga, wiring=box.wiring))
    assert not RememberedPair.objects.exists()
    assert box.run().created == 0

    case.refresh_from_db()
    duplicates.duplicate_different(Decision(case, olga, wiring=box.wiring))
    assert box.run().created == 1
    case.refresh_from_db()
    with pytest.raises(DecisionRefused, match="was created for it since"):
        duplicate_undo(Decision(case, olga, wiring=box.wiring))


def test_undo_of_stop_ticks_the_organisation_again_and_only_once(box, olga):
    id_, _, case = duplicate(box)
    duplicates.duplicate_stop(Decision(case, olga, wiring=box.wiring))
    case.refresh_from_db()

    duplicate_undo(Decision(case, olga, wiring=box.wiring))

    assert box.show(id_)[SYNC] is True
    with pytest.raises(DecisionRefused, match="already taken back"):
        duplicate_undo(Decision(case, olga, wiring=box.wiring))


# --- who sits on a case -----------------------------------------------------------------------------------------------
def test_a_case_says_who_has_it_open_until_that_one_is_gone(box, olga):
    _, _, case = duplicate(box)
    tom = User.objects.create(username="tom")

    assert sit_down(case, olga) == ""
    assert sit_down(case, olga) == ""
    assert sit_down(case, tom) == "olga"
    Case.objects.filter(pk=case.pk).update(open_at="2020-01-01T00:00:00Z")
    assert sit_down(case, tom) == ""


def test_later_gives_the_case_to_a_colleague(box, olga):
    _, _, case = duplicate(box)

    duplicates.duplicate_later(Decision(case, olga, reason="ask sales"), olga)

    case.refresh_from_db()
    assert (case.state, case.note, case.assigned_to) == ("open", "ask sales", olga)


# --- D35: the account is gone -----------------------------------------------------------------------------------------
@pytest.fixture
def gone(box):
    id_ = box.organisation("Vanished", industry="Food")
    box.run()
    account = box.accounts("Vanished")[0]["id"]
    box.world.outreach.delete_record("accounts", account)
    box.clock.forward(300)
    box.edit(id_, industry="Health")
    box.run()
    return id_, Case.objects.get(kind="error", reason="account_gone")


def test_an_account_that_is_gone_is_created_again_when_a_person_says_so(box, olga, gone):
    id_, case = gone
    assert box.accounts("Vanished") == []

    errors.account_create_again(case, olga, wiring=box.wiring)
    run = box.run()

    assert (run.created, box.show(id_)[PEER_ID]) == (1, str(box.accounts("Vanished")[0]["id"]))


def test_another_account_is_linked_for_one_that_is_gone(box, olga, gone):
    id_, case = gone
    other = box.world.outreach.create_record("accounts", {"name": "Its successor", "industry": "typed there"})["id"]

    with pytest.raises(DecisionRefused, match="no account 999"):
        errors.account_link_another(case, olga, "999", wiring=box.wiring)
    with pytest.raises(DecisionRefused, match="is a number"):
        errors.account_link_another(case, olga, "'; --", wiring=box.wiring)
    errors.account_link_another(case, olga, str(other), wiring=box.wiring)

    assert (box.show(id_)[PEER_ID], box.show(id_)[ERROR]) == (str(other), False)
    assert box.world.outreach.get_record("accounts", other)["industry"] == "typed there"
    assert box.run().failed == 0


def test_an_organisation_whose_account_is_gone_can_stop_syncing(box, olga, gone):
    id_, case = gone

    errors.account_stop(case, olga, wiring=box.wiring)

    assert (box.show(id_)[SYNC], box.show(id_)[ERROR]) == (False, False)
    assert box.run().seen == 0


def test_an_account_that_is_not_gone_is_never_dissolved(box, olga):
    id_ = box.organisation("Bound", industry="Food")
    box.run()
    box.clock.forward(300)
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "times": 1})
    box.edit(id_, industry="Health")
    box.run()
    case = Case.objects.get(kind="error", reason="refused")

    for decide in (errors.account_create_again, errors.account_stop):
        with pytest.raises(DecisionRefused, match="is not gone"):
            decide(case, olga, wiring=box.wiring)

    assert not Binding.objects.get().is_tombstone and box.show(id_)[PEER_ID]


# --- D6 ---------------------------------------------------------------------------------------------------------------
def test_d6_an_owner_added_later_is_set_after_the_next_look_and_near_matches_are_only_shown(box, olga):
    box.world.outreach.create_record("users", {"username": "jane_doe", "email": "jane.doe@acme.example"})
    id_ = box.organisation("Ownerless", assigned_to_name="Jane_Doe")
    box.run()
    assert Binding.objects.get().is_without_owner
    assert owners.owners_recheck(box.sync_pass, "olga", wiring=box.wiring) == 0
    assert owners.near_matches(box.sync_pass.peer, ["Jane_Doe"]) == {"Jane_Doe": ["jane_doe"]}
    assert box.accounts("Ownerless")[0]["owner"] is None

    user = box.world.outreach.create_record("users", {"username": "Jane_Doe", "email": "jd@acme.example"})["id"]
    assert owners.owners_recheck(box.sync_pass, "olga", wiring=box.wiring) == 1
    box.run()

    assert box.accounts("Ownerless")[0]["owner"] == user
    assert not Binding.objects.get(crm_id=str(id_)).is_without_owner


def test_d6_no_record_without_owner_costs_no_call(box, olga):
    box.organisation("Fine")
    box.run()
    box.calls()

    assert owners.owners_recheck(box.sync_pass, "olga", wiring=box.wiring) == 0
    assert box.calls() == {}
