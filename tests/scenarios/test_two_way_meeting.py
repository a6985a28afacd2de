"""First meetings of two-way passes: what is linked, made, left, listed and asked (D25, D28, D30, C3, C4, C17 to C19)."""

import pytest

from reconciliation.models import (
    Binding,
    Case,
    Difference,
    FieldRule,
    LookAgain,
    MappingTable,
    Operation,
    Policy,
    RecordType,
    Run,
    Tombstone,
)
from reconciliation.services.errors import error_retry
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


def quiet(box):
    """Runs until everything is at rest and asserts that a further run writes nothing."""
    box.run()
    box.calls()
    box.run()
    assert box.writes() == {}, box.events()


def differences():
    return {(d.peer_field, d.kind): (d.crm_value, d.peer_value) for d in Difference.objects.all()}


def test_a_first_link_fills_blanks_leaves_differences_and_lists_them(box):
    id_ = box.prospect("Byrne", "ada@acme.example", title="Head of Purchasing")
    contact = box.contact("Byrne", "ADA@acme.example", Title="Buyer", FirstName="Ada", Phone="+44 1")

    box.run()

    assert box.peer(id_)["firstName"] == "Ada" and box.peer(id_)["workPhones"] == ["+44 1"]
    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Buyer", "Head of Purchasing")
    assert differences() == {("title", "linked"): ("Buyer", "Head of Purchasing")}
    assert len(box.people("Lead")) == 0 and len(box.prospects()) == 1
    quiet(box)
    box.edit_peer(id_, title="Buyer")
    box.run()
    assert differences() == {}


@pytest.mark.parametrize(
    ("policy", "crm", "peer"),
    [("leave", "Buyer", "Head"), ("crm", "Buyer", "Buyer"), ("peer", "Head", "Head"), ("fill_blanks", "Buyer", "Head")],
)
def test_what_differs_at_a_first_link_goes_by_the_tables_setting(box, policy, crm, peer):
    MappingTable.objects.update(on_first_link=policy)
    id_ = box.prospect("Byrne", "ada@acme.example", title="Head")
    contact = box.contact("Byrne", "ada@acme.example", Title="Buyer", HasOptedOutOfEmail=True)

    box.run()

    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == (crm, peer)
    assert box.peer(id_).get("emailOptedOut") is True  # consent counts at once, whatever the setting
    quiet(box)


def test_a_blank_that_is_held_back_is_listed_and_leaves_the_list_when_the_field_is_filled_again(box):
    _, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")
    box.edit_peer(id_, title=None)

    box.run()

    assert differences() == {("title", "blank"): ("Buyer", None)}
    box.edit_peer(id_, title="Chief")
    box.run()
    assert differences() == {}


def test_c4_two_contacts_with_one_address_make_one_prospect_in_one_page(box):
    first, second = box.contact("Byrne", "ada@acme.example"), box.contact("Byrne", "Ada@Acme.Example")

    run = box.run()

    assert len(box.prospects()) == 1 and run.created == 1, box.events()
    assert run.excluded.get("kept") == 1
    assert box.binding(box.prospects()[0]["id"]).crm_id == first
    sentence = next(s for o, r, s in box.events() if r == "kept")
    assert sentence == f"Already in Outreach as {box.prospects()[0]['id']}, kept on {first}."
    assert second != first
    quiet(box)


def test_d28_with_the_other_policy_the_second_asks_which_crm_id_is_preferred(box):
    Policy.objects.update_or_create(pk=1, defaults={"same_email": Policy.SameEmail.CHOOSE})
    box.contact("Byrne", "ada@acme.example")
    second = box.contact("Byrne", "ada@acme.example")

    run = box.run()

    assert run.duplicates == 1 and len(box.prospects()) == 1
    case = Case.objects.get(kind="remap", state="open")
    assert (case.crm_type, case.crm_id, case.peer_id) == ("Contact", second, str(box.prospects()[0]["id"]))
    assert "already exists in Outreach" in case.sentence
    quiet(box)
    assert Case.objects.filter(kind="remap").count() == 1


def test_c19_any_address_of_a_prospect_finds_it(box):
    id_ = box.prospect("Byrne", "ada@home.example", "ada@acme.example")
    contact = box.contact("Byrne", "ada@acme.example")

    box.run()

    assert box.binding(id_).crm_id == contact and len(box.prospects()) == 1


def test_several_records_of_the_winning_type_are_asked_about_and_nothing_is_made(box):
    RecordType.objects.update(inbound_create=False)
    contacts = {box.contact("Byrne", "ada@acme.example"), box.contact("Byrne-Smith", "ada@acme.example")}
    box.run()
    box.prospect("Byrne", "ada@acme.example")

    run = box.run()

    assert run.duplicates == 1 and not Binding.objects.exists() and not box.people("Lead")
    case = Case.objects.get(kind="remap", state="open")
    assert case.reason == "several" and all(c in case.sentence for c in contacts)


def test_a_record_without_address_is_left_alone_and_says_why(box):
    box.contact("Nobody")
    box.prospect("Nobody")

    run = box.run()

    assert run.excluded == {"no_email": 2} and len(box.prospects()) == 1 and not box.people("Lead")


def test_each_direction_of_each_type_has_a_switch(box):
    RecordType.objects.update(inbound_create=False, outbound_create=False)
    box.contact("Byrne", "ada@acme.example")
    box.prospect("Diaz", "cleo@acme.example")
    assert box.run().excluded == {"create_off": 2}
    RecordType.objects.update(inbound_create=True)
    box.run(is_full=True)
    contact = box.people("Contact")[0]["Id"]
    id_ = Binding.objects.get(crm_id=contact).peer_id
    RecordType.objects.update(inbound_update=False)
    box.edit_crm("Contact", contact, Title="Buyer")
    box.edit_peer(id_, firstName="Ada")

    box.run()

    assert not box.peer(id_).get("title") and box.crm("Contact", contact)["FirstName"] == "Ada"
    RecordType.objects.update(inbound_update=True)
    box.run(is_full=True)
    assert box.peer(id_)["title"] == "Buyer"


def test_polling_conditions_say_which_records_are_looked_at(box):
    RecordType.objects.filter(crm_object="Contact").update(conditions=[["Title", "is", "Buyer"]])
    box.contact("Byrne", "ada@acme.example", Title="Buyer")
    box.contact("Evans", "eve@acme.example", Title="Engineer")

    run = box.run()

    assert run.created == 1 and [p["lastName"] for p in box.prospects()] == ["Byrne"]


def test_c17_a_converted_lead_is_followed_to_its_contact(box):
    lead = box.lead("Diaz", "cleo@acme.example", Title="Engineer")
    box.run()
    (prospect,) = box.prospects()
    done = box.world.salesforce.convert({"lead": lead})

    box.run()

    binding = box.binding(prospect["id"])
    assert (binding.crm_type, binding.crm_id) == ("Contact", done["ConvertedContactId"]), box.events()
    assert box.peer(prospect["id"])["externalId"] == done["ConvertedContactId"]
    assert any("was converted to Contact" in s for _, _, s in box.events()), box.events()
    quiet(box)
    assert len(box.prospects()) == 1


def test_what_was_deleted_in_salesforce_ends_the_link_and_nothing_else(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example")
    box.world.salesforce.delete_record("Contact", contact)

    run = box.run()

    assert run.excluded == {"deleted": 1} and box.peer(id_)["lastName"] == "Byrne"
    assert Tombstone.objects.get().why == "gone"
    box.edit_peer(id_, title="Chief")
    box.run()
    assert not box.people("Lead") and box.events()[-1][1] == "unlinked"


def test_what_was_deleted_in_outreach_is_noticed_by_its_absence_and_never_made_again(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example")
    box.linked("Evans", "eve@acme.example")
    box.world.outreach.delete_record("prospects", id_)

    box.run(forward=25 * 3600)

    assert Tombstone.objects.get().why == "peer" and box.crm("Contact", contact)["LastName"] == "Byrne"
    box.edit_crm("Contact", contact, Title="Chief")
    box.run()
    assert len(box.prospects()) == 1 and box.events()[-1][1] == "unlinked"


def test_an_error_of_a_pair_is_retried_by_staff(box, admin_user):
    contact, _ = box.linked("Byrne", "ada@acme.example")
    case = Case.objects.create(
        sync_pass=box.sync_pass,
        kind="error",
        crm_type="Contact",
        crm_id=contact,
        reason="refused",
        sentence="No.",
        opened_at=box.clock(),
        flag="none",
    )

    assert error_retry([case], admin_user, wiring=box.wiring) == 1

    assert LookAgain.objects.get().record_id == contact
    run = box.run()
    assert run.seen >= 1 and not LookAgain.objects.exists()


def test_a_preview_shows_the_plan_writes_nothing_and_is_carried_out_unless_changed(box):
    box.contact("Byrne", "ada@acme.example")
    box.contact("Evans", "eve@acme.example")
    box.prospect("Diaz", "cleo@acme.example")
    box.calls()

    plan = box.run(kind=Run.Kind.PREVIEW)

    assert plan.created == 3 and box.writes() == {} and not Binding.objects.exists()
    assert plan.operations.filter(state="planned", kind="create").count() == 3
    box.edit_crm("Contact", box.people("Contact")[0]["Id"], Title="Changed meanwhile")
    done = box.run(kind=Run.Kind.APPLY, apply_of=plan.pk)
    assert done.created == 2 and done.excluded == {"changed_meanwhile": 1}, box.events()
    box.run()
    assert Binding.objects.count() == 3
    quiet(box)


def test_c34_an_owner_that_salesforce_itself_gave_a_new_lead_is_nobodys_edit(box):
    table = box.sync_pass.record_types.get(crm_object="Lead").mapping
    FieldRule.objects.create(table=table, crm_field="OwnerId", peer_field="owner", direction="both", transform="user by user mapping")
    id_ = box.prospect("Diaz", "cleo@acme.example")

    box.run()

    assert box.people("Lead")[0]["OwnerId"]
    quiet(box)
    assert not box.peer(id_).get("owner")


def test_a_refused_record_is_one_case_is_not_tried_again_as_it_is_and_is_once_it_was_edited(box):
    id_ = box.prospect("Diaz", "cleo@.example")
    box.prospect("Evans", "eve@acme.example")

    run = box.run()

    assert (run.created, run.failed) == (1, 1)
    case = Case.objects.get(kind="error", state="open")
    assert (case.crm_id, case.peer_id) == ("", str(id_)) and "invalid email" in case.sentence and case.exchange
    box.calls()
    again = box.run(is_full=True)
    assert again.excluded == {"case_open": 1} and box.writes() == {}
    box.edit_peer(id_, emails=["cleo@acme.example"])
    box.run()
    case.refresh_from_db()
    assert case.state == "closed" and len(box.people("Lead")) == 2


def test_a_list_of_ids_that_lacks_too_many_ends_no_link_and_the_run_says_so(box):
    for n in range(12):
        box.contact(f"Name {n}", f"n{n}@acme.example")
    box.run()
    *gone, last = [p["id"] for p in box.prospects()]
    for id_ in gone:
        box.world.outreach.delete_record("prospects", id_)

    run = box.run(forward=25 * 3600)
    again = box.run()

    assert run.state == again.state == "held" and f"Its plan waits in run {run.pk}" in again.note
    assert "11 of 12 linked records were not in the list of ids; no link was ended" in run.note
    assert Binding.objects.filter(is_tombstone=False).count() == 12 and Operation.objects.filter(state="planned").count() == 11

    applied = box.run(kind="apply", apply_of=run.pk)

    assert applied.state == "finished" and "11 links ended" in applied.note and applied.excluded == {"counterpart_gone": 11}
    assert Binding.objects.get(is_tombstone=False).peer_id == str(last) and Tombstone.objects.filter(why="peer").count() == 11
    assert not Operation.objects.filter(state="planned").exists() and box.run().state == "finished"
    box.world.outreach.delete_record("prospects", last)

    assert "list of ids was empty" in box.run(forward=25 * 3600).note and Binding.objects.filter(is_tombstone=False).count() == 1


def test_what_is_gone_beyond_what_was_approved_waits_for_another_approval(box):
    for n in range(25):
        box.contact(f"Name {n}", f"n{n}@acme.example")
    box.run()
    ids = [p["id"] for p in box.prospects()]
    for id_ in ids[:11]:
        box.world.outreach.delete_record("prospects", id_)
    run = box.run(forward=25 * 3600)
    for id_ in ids[11:22]:
        box.world.outreach.delete_record("prospects", id_)

    second = box.run(kind="apply", apply_of=run.pk)

    assert second.state == "held" and "22 of 25" in second.note and Binding.objects.filter(is_tombstone=False).count() == 25
    assert box.run(kind="apply", apply_of=second.pk).state == "finished"
    assert Binding.objects.filter(is_tombstone=False).count() == 3


def test_c17_a_contact_that_is_read_before_the_lead_it_came_from_gets_no_second_prospect(box):
    """Contacts are read first, and no address leads to the prospect: it was changed in Outreach meanwhile."""
    lead = box.lead("Diaz", "cleo@acme.example")
    box.run()
    (prospect,) = box.prospects()
    box.edit_peer(prospect["id"], emails=["cleo@elsewhere.example"])
    done = box.world.salesforce.convert({"lead": lead})

    run = box.run()
    assert run.held == 1 and any(reason == "converted" for _, reason, _ in box.events()), box.events()
    box.run()

    assert len(box.prospects()) == 1, box.prospects()
    binding = box.binding(prospect["id"])
    assert (binding.crm_type, binding.crm_id) == ("Contact", done["ConvertedContactId"])
    assert box.crm("Contact", done["ConvertedContactId"])["Email"] == "cleo@elsewhere.example"
    quiet(box)


def test_a_contact_brought_back_from_the_recycle_bin_is_linked_again_and_both_sides_edits_arrive(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Engineer")
    box.world.salesforce.delete_record("Contact", contact)
    box.run()
    box.edit_peer(id_, title="Chief")
    box.run()
    box.bring_back("Contact", contact)
    box.edit_crm("Contact", contact, Phone="+44 20 7946 0001")

    box.run()

    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["workPhones"]) == ("Chief", ["+44 20 7946 0001"])
    assert box.binding(id_).crm_id == contact and len(box.prospects()) == 1
    stone = Tombstone.objects.get()
    assert (stone.restored_by, stone.restored_as) == ("Salesforce", f"salesforce:Contact:{contact}")
    assert any("is there again" in sentence for _, _, sentence in box.events()), box.events()
    quiet(box)


def test_a_contact_brought_back_whose_prospect_was_deleted_or_linked_elsewhere_changes_no_other_link(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example")
    gone, gone_id = box.linked("Evans", "eve@acme.example")
    for one in (contact, gone):
        box.world.salesforce.delete_record("Contact", one)
    box.run()
    Binding.objects.create(
        sync_pass=box.sync_pass,
        crm_type="Contact",
        crm_id="003AA0000099999YAA",
        peer_type="prospect",
        peer_id=str(id_),
        bound_at=box.clock(),
        synced_at=box.clock(),
    )
    box.world.outreach.delete_record("prospects", gone_id)
    for one in (contact, gone):
        box.bring_back("Contact", one)

    box.run()

    assert not Binding.objects.filter(crm_id__in=(contact, gone), is_tombstone=False).exists(), box.events()
    assert len(box.prospects()) == 1


def test_i3_a_prospect_that_was_made_to_name_another_record_keeps_its_link_and_stops_no_pass(box):
    """Somebody types another CRM id into Outreach, or a remap's pointer came to nothing: the link stands all the same."""
    first, id_ = box.linked("Byrne", "ada@acme.example")
    other = box.lead("Byrne", "ada@acme.example", FirstName="Ada")
    box.edit_peer(id_, externalId=other)
    box.edit_crm("Lead", other, Title="Chief")

    runs = [box.run(), box.run()]

    assert [run.state for run in runs] == ["finished", "finished"], [run.note for run in runs]
    assert box.binding(id_).crm_id == first and not Binding.objects.filter(crm_id=other, is_tombstone=False).exists()
    assert any(reason == "kept" for _, reason, _ in box.events(runs[0])), box.events(runs[0])


@pytest.mark.parametrize("is_prospect_new", [True, False])
def test_c18_addresses_are_compared_whatever_their_capitals(box, is_prospect_new):
    if is_prospect_new:
        box.contact("Byrne", "Ada@Acme.example")
        box.run()
        (known,) = box.prospects()
        Binding.objects.all().delete()
        box.edit_peer(known["id"], emails=["ADA@acme.EXAMPLE"], externalId=None)
    else:
        box.prospect("Byrne", "ADA@acme.EXAMPLE")
        box.contact("Byrne", "Ada@Acme.example")

    box.run()
    box.run()

    assert len(box.prospects()) == 1 and len(box.people("Contact")) == 1 and not box.people("Lead"), box.events()
    assert Binding.objects.filter(is_tombstone=False).count() == 1
