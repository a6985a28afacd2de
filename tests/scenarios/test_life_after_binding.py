"""What may happen to a pair once it is linked (engine-rules 16, D25, D27, D35): nothing is created, sent or deleted silently."""

import pytest

from reconciliation.models import Binding, Case, MappingTable, RunEvent
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


@pytest.fixture
def linked(box):
    """A sandbox with one linked organisation, quiet since five minutes."""
    id_ = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    box.clock.forward(300)
    box.run()
    return box, id_, box.accounts()[0]["id"]


def account_of(box, id_):
    return box.world.outreach.get_record("accounts", id_)


def test_sync_switched_off_keeps_the_link_and_sends_nothing_and_back_on_sends_what_changed_since(linked):
    box, id_, account = linked
    box.edit(id_, industry="Health", **{SYNC: False})
    assert box.run().seen == 0
    assert account_of(box, account)["industry"] == "Food"
    assert not Binding.objects.get().is_tombstone

    box.edit(id_, **{SYNC: True})
    run = box.run()

    assert (run.updated, account_of(box, account)["industry"]) == (1, "Health")


@pytest.mark.parametrize("flag", [ERROR, DUPLICATE])
def test_a_flag_set_by_hand_holds_a_linked_organisation(linked, flag):
    box, id_, account = linked
    box.edit(id_, industry="Health", **{flag: True})

    assert box.run().seen == 0
    assert account_of(box, account)["industry"] == "Food"


def test_deleted_in_workbooks_leaves_the_account_and_is_said(linked):
    box, id_, account = linked
    box.world.workbooks.delete_record("organisations", id_)

    run = box.run()

    assert run.excluded == {"deleted": 1}
    assert Binding.objects.get().is_tombstone and account_of(box, account) is not None
    assert "stays untouched" in RunEvent.objects.get(run=run).sentence


def test_a_full_comparison_tells_what_was_deleted_since_the_last_run(linked):
    box, id_, _ = linked
    box.world.workbooks.delete_record("organisations", id_)

    run = box.run(is_full=True)

    assert run.excluded == {"deleted": 1}
    assert Binding.objects.get().is_tombstone


def test_renamed_is_a_plain_update_without_a_search(linked):
    box, id_, account = linked
    box.world.outreach.create_record("accounts", {"name": "Southwind Pumps"})
    box.edit(id_, name="Southwind Pumps")
    box.calls()

    run = box.run()

    assert (run.updated, run.duplicates) == (1, 0)
    assert account_of(box, account)["name"] == "Southwind Pumps"
    assert box.calls()["GET /api/v2/accounts"] == 1  # the linked account, by its id


def test_an_account_that_is_gone_is_an_error_and_never_created_again_silently(linked):
    box, id_, account = linked
    box.world.outreach.delete_record("accounts", account)
    box.edit(id_, industry="Health")

    run = box.run()

    assert (run.failed, run.created, box.accounts()) == (1, 0, [])
    assert box.show(id_)[ERROR] is True
    assert Case.objects.get().reason == "account_gone"


def test_an_id_blanked_by_hand_asks_to_link_again_and_creates_nothing(linked):
    box, id_, account = linked
    box.edit(id_, **{PEER_ID: ""})

    run = box.run()

    assert (run.duplicates, run.created) == (1, 0)
    case = Case.objects.get()
    assert case.reason == "id_blanked" and [c["peer_id"] for c in case.candidates] == [str(account)]


def test_an_id_changed_by_hand_links_to_the_other_account(linked):
    box, id_, account = linked
    other = box.world.outreach.create_record("accounts", {"name": "The right one"})["id"]
    box.edit(id_, **{PEER_ID: str(other)})

    run = box.run()

    assert (run.failed, run.duplicates) == (0, 0)
    assert Binding.objects.get(is_tombstone=False).peer_id == str(other)
    assert account_of(box, account)["industry"] == "Food"


def test_an_id_of_an_account_that_does_not_exist_is_an_error(box):
    id_ = box.organisation("Subject", **{PEER_ID: "4711"})

    run = box.run()

    assert (run.failed, box.show(id_)[ERROR]) == (1, True)
    assert "no account 4711" in Case.objects.get().sentence


def test_an_id_of_an_account_that_belongs_to_another_is_a_duplicate_that_names_both(linked):
    box, id_, account = linked
    other = box.organisation("Second", **{PEER_ID: str(account)})

    run = box.run()

    assert (run.duplicates, box.show(other)[DUPLICATE]) == (1, True)
    case = Case.objects.get(crm_id=str(other))
    assert str(account) in case.sentence and str(id_) in case.sentence
    assert Binding.objects.get(peer_id=str(account)).crm_id == str(id_)


@pytest.mark.parametrize(
    ("policy", "industry", "locality"),
    [("leave", "typed there", None), ("fill_blanks", "typed there", "York"), ("crm", "Food", "York"), ("peer", "typed there", None)],
)
def test_d25_what_happens_to_fields_that_differ_on_first_link(box, policy, industry, locality):
    MappingTable.objects.update(on_first_link=policy)
    box.sync_pass.refresh_from_db()
    account = box.world.outreach.create_record("accounts", {"name": "Known", "industry": "typed there"})["id"]
    box.organisation("Known", industry="Food", **{PEER_ID: str(account), "main_location[town]": "York"})

    box.run()

    found = account_of(box, account)
    assert (found["industry"], found.get("locality")) == (industry, locality)
    assert Binding.objects.get().peer_id == str(account)


def test_d27_records_with_an_id_wait_until_they_are_edited_after_switching_on(box):
    account = box.world.outreach.create_record("accounts", {"name": "Known"})["id"]
    id_ = box.organisation("Known", **{PEER_ID: str(account)})
    box.edit(id_, updated_at=str(int(box.clock.seconds()) - 3600))
    assert box.run().seen == 0

    box.edit(id_, industry="Food")

    assert box.run().seen == 1
