"""Seed 001, line by line: contacts of a mailbox and Salesforce, through the pass and the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciliation.models import Case, Run, Tombstone
from tests.boxes import FOLDER, Boxes, boxes, on_every_mail_system

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


@on_every_mail_system
def test_s1_06_s1_07_s1_08_the_folder_is_made_and_holds_the_view_with_the_category(box: Boxes) -> None:
    """S1.1, S1.5, S1.6, S1.7, S1.8: after the first pass, what the user owns is in the folder, marked."""
    box.contact("Lind", "bo@acme.example", FirstName="Bo", Phone="020 7946 0000")
    box.contact("Other", "ot@acme.example", owner=box.theirs)

    run = box.run()

    assert run.state == Run.State.FINISHED, (run.note, box.events())
    (item,) = box.folder()
    assert (item["surname"], item["givenName"]) == ("Lind", "Bo")
    assert "Salesforce" in item["categories"]
    assert [e[:2] for e in box.events()] == [("created", "created")]


def item(box: Boxes, folder: str = FOLDER, *, address: str = "", **values: object) -> str:
    """Makes a contact in the mailbox as its user does. Returns its id."""
    if folder == FOLDER and not box.runs:
        box.run(address)  # which makes the folder
    return box.put(folder, address, **values)


def only(rows: list[dict]) -> dict:
    assert len(rows) == 1, rows
    return rows[0]


@on_every_mail_system
def test_s1_09_personal_contacts_are_left_alone(box: Boxes) -> None:
    """S1.9: what lies in Contacts is neither read in full, nor written, moved or marked."""
    item(box, "Contacts", givenName="Mum", surname="Home", emails=["mum@home.example"])
    before = box.rows()
    box.contact("Lind", "mum@home.example")

    box.run()
    box.run()

    assert [r for r in box.rows() if not box.is_inside(r)] == before
    assert only(box.folder())["surname"] == "Lind"


@on_every_mail_system
def test_s1_10_way_1_a_contact_made_in_the_folder_goes_to_salesforce(box: Boxes) -> None:
    """S1.10, S1.18: it is marked, and made in Salesforce, owned by the mailbox's user, without an account."""
    box.run()
    item(box, givenName="Ida", surname="Berg", emails=["ida@berg.example"])

    run = box.run()

    made = only(box.contacts())
    assert (made["FirstName"], made["LastName"], made["Email"], made["OwnerId"]) == ("Ida", "Berg", "ida@berg.example", box.users[box.mine])
    assert made["AccountId"] is None
    assert "Salesforce" in only(box.folder())["categories"]
    assert run.created == 1
    assert (box.run().created, box.runs[-1].updated) == (0, 0)


@on_every_mail_system
def test_s1_11_way_2_a_contact_dragged_into_the_folder_is_shared(box: Boxes) -> None:
    """S1.11."""
    id_ = item(box, "Contacts", givenName="Ida", surname="Berg", emails=["ida@berg.example"])
    box.run()
    assert box.contacts() == []

    box.change(id_, folder=FOLDER)
    box.run()

    assert only(box.contacts())["LastName"] == "Berg"


@on_every_mail_system
def test_s1_12_way_3_a_categorised_contact_is_shared_and_moved(box: Boxes) -> None:
    """S1.12: it is in the folder afterwards, once, and nothing of it is lost."""
    id_ = item(box, "Contacts", givenName="Ida", surname="Berg", emails=["ida@berg.example"], mobilePhone="+44 7700 900123")
    box.run()
    box.change(id_, categories=["Family", "Salesforce"])

    run = box.run()

    moved = only(box.folder())
    assert (moved["surname"], moved["mobilePhone"], set(moved["categories"])) == ("Berg", "+44 7700 900123", {"Family", "Salesforce"})
    assert only(box.contacts())["MobilePhone"] == "+44 7700 900123"
    assert not [r for r in box.rows() if r.get("folder") == "Contacts"], run.note
    assert (box.run().created, box.runs[-1].updated) == (0, 0)


@on_every_mail_system
@pytest.mark.parametrize(
    ("company", "names", "expected"),
    [
        ("Acme", ["Acme", "Acme Ltd"], "Acme"),
        ("acme wid", ["Acme Widgets Ltd", "Zeta"], "Acme Widgets Ltd"),
        ("Acme", ["Acme North", "Acme South"], None),
        ("Nobody", ["Acme"], None),
        ("", ["Acme"], None),
        ("100%", ["100% Wool", "1000 Wools"], "100% Wool"),
    ],
)
def test_s1_13_to_s1_18_the_company_finds_the_account(box: Boxes, company: str, names: list[str], expected: str | None) -> None:
    """S1.13, S1.14, S1.16, S1.17, S1.18, D7: by name, then as the part of one name, else none; a blank company has none."""
    ids = {name: box.world.salesforce.create_record("Account", {"Name": name})["Id"] for name in names}
    item(box, givenName="Ida", surname="Berg", companyName=company, emails=["ida@berg.example"])

    box.run()

    assert only(box.contacts())["AccountId"] == (ids[expected] if expected else None)


@on_every_mail_system
def test_s1_15_of_several_accounts_of_the_name_the_first_made_is_taken(box: Boxes) -> None:
    """S1.15."""
    first = box.world.salesforce.create_record("Account", {"Name": "Acme"})["Id"]
    box.clock.forward(60)
    box.world.salesforce.create_record("Account", {"Name": "Acme"})
    item(box, surname="Berg", companyName="Acme")

    box.run()

    assert only(box.contacts())["AccountId"] == first


@on_every_mail_system
def test_s1_19_what_a_new_contact_gets_is_configurable(box: Boxes) -> None:
    """S1.19: values of its own, and one account for all."""
    account = box.world.salesforce.create_record("Account", {"Name": "House"})["Id"]
    box.parent.settings = {"creation": {"account_id": account, "defaults": {"Department": "From the mailbox", "Title": "unknown"}}}
    box.parent.save()
    item(box, surname="Berg", companyName="Acme", jobTitle="Buyer")

    box.run()

    made = only(box.contacts())
    assert (made["AccountId"], made["Department"], made["Title"]) == (account, "From the mailbox", "Buyer")


@on_every_mail_system
def test_s1_19_a_contact_without_a_required_field_is_made_once_it_has_it(box: Boxes) -> None:
    """S1.19: fields that the organisation requires beside those of Salesforce; nothing is dropped in silence."""
    box.parent.settings = {"creation": {"required": ["Title", "Department"], "defaults": {"Department": "From the mailbox"}}}
    box.parent.save()
    id_ = item(box, surname="Berg")

    assert box.run().failed == 1

    case = Case.objects.get(state="open")
    assert (box.contacts(), case.kind, case.reason) == ([], "error", "incomplete")
    assert "Title (in the mailbox: jobTitle) is required and blank" in case.sentence
    box.change(id_, jobTitle="Buyer")
    assert box.run().created == 1
    assert only(box.contacts())["Title"] == "Buyer" and not Case.objects.filter(state="open").exists()


@on_every_mail_system
def test_s1_20_an_edit_in_the_folder_reaches_salesforce(box: Boxes) -> None:
    """S1.20."""
    id_ = box.contact("Lind", "bo@acme.example", FirstName="Bo", Title="Buyer")
    box.run()
    box.change(only(box.folder())["id"], jobTitle="Head of buying")

    run = box.run()

    assert box.show(id_)["Title"] == "Head of buying"
    assert run.updated == 1
    assert (box.run().updated, box.runs[-1].created) == (0, 0)


@on_every_mail_system
def test_s1_23_a_deleted_contact_is_made_again_where_deleting_is_forbidden(box: Boxes) -> None:
    """S1.21, S1.23: by default; with the present data of Salesforce."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    box.drop(only(box.folder())["id"])
    box.edit(id_, Title="Head of buying")

    box.run()

    assert only(box.folder())["jobTitle"] == "Head of buying"
    assert only(box.contacts())["Id"] == id_
    assert (box.run().updated, box.runs[-1].created) == (0, 0)


@on_every_mail_system
def test_s1_22_a_deleted_contact_is_deleted_in_salesforce_where_that_is_allowed(box: Boxes) -> None:
    """S1.21, S1.22."""
    box.contact("Lind", "bo@acme.example")
    box.set(deletion="allowed")
    box.run()
    box.drop(only(box.folder())["id"])

    box.run()

    assert box.contacts() == []
    assert box.links() == {}
    assert Tombstone.objects.get().why == Tombstone.Why.MAILBOX
    assert (box.run().updated, box.runs[-1].created) == (0, 0)


def test_c12_deleted_here_and_edited_there_waits_for_a_person(box: Boxes) -> None:
    """C12, D26: the edit is kept, and a person asked."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.set(deletion="allowed")
    box.run()
    box.drop(only(box.folder())["id"])
    box.edit(id_, Title="New")

    box.run()

    assert box.show(id_)["Title"] == "New"
    assert Case.objects.get(state="open").reason == "edited_in_crm"


def test_a_deletion_that_would_empty_other_mailboxes_waits_for_a_person(box: Boxes) -> None:
    """Issue: it shows that number."""
    for address in box.passes:
        box.set(address, view="everything", deletion="allowed")
    box.contact("Lind", "bo@acme.example")
    for address in box.passes:
        box.run(address)
    box.drop(only(box.folder())["id"])

    box.run()

    assert len(box.contacts()) == 1
    case = Case.objects.get(state="open")
    assert (case.reason, "Another mailbox holds" in case.sentence) == ("others", True)


@on_every_mail_system
def test_d26_a_contact_taken_out_of_the_folder_is_personal_again(box: Boxes) -> None:
    """D26: Salesforce is untouched, and it is not put back."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.set(deletion="allowed")
    box.run()
    lying = only(box.folder())["id"]
    box.change(lying, folder="Contacts", categories=[])

    box.run()
    box.edit(id_, Title="New")
    box.run()

    assert box.folder() == []
    assert only(box.contacts())["Id"] == id_
    assert Tombstone.objects.get().why == Tombstone.Why.TAKEN_OUT


@on_every_mail_system
def test_dragged_out_with_its_category_it_comes_back(box: Boxes) -> None:
    """Engine rule 38: back by way 3, as the same link."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(only(box.folder())["id"], folder="Contacts")

    box.run()

    assert only(box.folder())["surname"] == "Lind"
    assert list(box.links()) == [id_]
    assert (box.run().updated, box.runs[-1].created) == (0, 0)


@on_every_mail_system
def test_s1_08_a_category_taken_off_in_the_folder_is_put_back(box: Boxes) -> None:
    """S1.8, D26."""
    box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(only(box.folder())["id"], categories=["Family"])

    box.run()

    assert set(only(box.folder())["categories"]) == {"Family", "Salesforce"}


@on_every_mail_system
def test_s1_24_s1_25_s1_26_what_happens_in_salesforce_comes_down(box: Boxes) -> None:
    """S1.24, S1.25, S1.26: added, changed, deleted."""
    box.run()
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    assert only(box.folder())["jobTitle"] == "Buyer"

    box.edit(id_, Title="Head of buying")
    box.run()
    assert only(box.folder())["jobTitle"] == "Head of buying"

    box.world.salesforce.delete_record("Contact", id_)
    box.run()
    assert box.folder() == []
    assert (box.run().updated, box.runs[-1].created) == (0, 0)


def test_c12_deleted_in_salesforce_and_edited_here_waits_for_a_person(box: Boxes) -> None:
    """C12: the edit is kept."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(only(box.folder())["id"], jobTitle="Mine")
    box.world.salesforce.delete_record("Contact", id_)

    box.run()

    assert only(box.folder())["jobTitle"] == "Mine"
    assert Case.objects.filter(state="open", reason="edited_here").exists()


@on_every_mail_system
def test_s1_27_d8_what_leaves_the_view_stays_marked_and_gets_no_more_edits(box: Boxes) -> None:
    """S1.27, D8 keep: edits here still go up; those there come down no more; back in view all is as before."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    box.edit(id_, OwnerId=box.users[box.theirs])
    box.run()
    kept = only(box.folder())
    assert set(kept["categories"]) == {"Salesforce", "Salesforce: not in view"}

    box.edit(id_, Title="Not for you")
    box.change(kept["id"], mobilePhone="+44 1")
    box.run()
    assert box.show(id_)["MobilePhone"] == "+44 1"
    assert only(box.folder())["jobTitle"] == "Buyer"

    box.edit(id_, OwnerId=box.users[box.mine])
    box.run()
    back = only(box.folder())
    assert (set(back["categories"]), back["jobTitle"]) == ({"Salesforce"}, "Not for you")


@on_every_mail_system
def test_d8_remove_takes_it_to_deleted_items(box: Boxes) -> None:
    """D8 remove: Salesforce is never touched; back in view it is there again."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.set(out_of_view="remove")
    box.run()
    box.edit(id_, OwnerId=box.users[box.theirs])
    box.run()
    assert box.folder() == []
    assert only(box.contacts())["Id"] == id_

    box.edit(id_, OwnerId=box.users[box.mine])
    box.run()
    assert only(box.folder())["surname"] == "Lind"


@on_every_mail_system
def test_two_users_have_their_own_contacts(box: Boxes) -> None:
    """S1.4, S1.5: *My Contacts* is each one's own."""
    box.contact("Lind", "bo@acme.example")
    box.contact("Moss", "mo@acme.example", owner=box.theirs)
    for address in box.passes:
        box.run(address)

    assert [r["surname"] for r in box.folder()] == ["Lind"]
    assert [r["surname"] for r in box.folder(box.theirs)] == ["Moss"]


@pytest.mark.parametrize(
    ("last", "existing", "cases", "made"),
    [("Lind", "link", 0, 1), ("lind", "link", 0, 1), ("Moss", "link", 1, 1), ("Lind", "ask", 1, 1), ("Moss", "create", 0, 2)],
)
def test_d7_an_address_that_is_there_links_asks_or_creates(box: Boxes, last: str, existing: str, cases: int, made: int) -> None:
    """D7: never a second contact unasked."""
    box.contact("Lind", "bo@acme.example", owner=box.theirs)
    box.set(existing=existing)
    item(box, surname=last, emails=["BO@acme.example"])

    box.run()

    assert Case.objects.filter(state="open").count() == cases
    assert len(box.contacts()) == made


def test_what_the_user_may_not_change_is_an_issue_of_the_mailbox(box: Boxes) -> None:
    """Rights: nothing is changed in Salesforce, and the mailbox says so."""
    id_ = box.contact("Lind", "bo@acme.example", owner=box.theirs, Title="Buyer")
    box.set(view="everything")
    box.run()
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})
    box.change(only(box.folder())["id"], jobTitle="Mine")

    box.run()

    assert box.show(id_)["Title"] == "Buyer"
    assert Case.objects.get(state="open").reason == "no_right"


@on_every_mail_system
def test_a_quiet_run_costs_one_call_to_each_side(box: Boxes) -> None:
    """Acceptance 3: nothing changed, at most two calls."""
    for n in range(30):
        box.contact(f"Lind{n}", f"bo{n}@acme.example")
    box.run()
    box.run()
    box.calls()

    box.run(forward=60)  # the tokens, which know the real clock only, still hold

    assert box.calls() == {"salesforce": 1, box.system: 1}
