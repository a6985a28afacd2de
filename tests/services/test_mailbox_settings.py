"""What is set for mailboxes: whose word counts, what is refused, how views are offered and counted, how contacts are made."""

import pytest
from django.contrib.auth.models import User

from reconciliation.models import AuditEntry, Mailbox, MailboxGroup, SyncPass
from reconciliation.services.mailbox_settings import (
    Creation,
    ViewChoices,
    creation_of,
    creation_save,
    group_settings,
    lines_of,
    own_save,
    rules_of,
    rules_save,
    view_count,
    views_read,
)
from reconciliation.services.mailboxes import MailboxRefused
from tests.boxes import boxes

pytestmark = pytest.mark.django_db
NO_VIEWS = ViewChoices()


@pytest.fixture
def box():
    return boxes("microsoft")


@pytest.fixture
def ada():
    return User.objects.create_user("ada")


def line(box, name, views=NO_VIEWS):
    mailbox = Mailbox.objects.select_related("group").get(address=box.mine)
    return next(x for x in lines_of(whole(box), mailbox, views) if x.setting.name == name)


def whole(box):
    return SyncPass.objects.get(pk=box.parent.pk)


def test_s4_8_an_admins_lock_bounds_a_group_and_a_user_and_a_default_does_not(box, ada):
    """S4.8: settings are adjusted per end user and by an admin, whose word bounds theirs."""
    mailbox = Mailbox.objects.get(address=box.mine)
    assert (line(box, "deletion").held.value, line(box, "deletion").held.by) == ("forbidden", "shipped")

    assert rules_save(whole(box), {"deletion": ("allowed", False)}, ada) == ["Deleting a contact from the folder"]
    assert (line(box, "deletion").held.value, line(box, "deletion").is_locked) == ("allowed", False)
    group = MailboxGroup.objects.create(name="Sales", settings=group_settings({"deletion": "forbidden"}))
    Mailbox.objects.filter(pk=mailbox.pk).update(group=group)
    assert (line(box, "deletion").held.value, line(box, "deletion").held.by) == ("forbidden", "group")
    own_save(whole(box), Mailbox.objects.get(pk=mailbox.pk), {"deletion": "allowed"}, ada)
    assert (line(box, "deletion").held.value, line(box, "deletion").held.by) == ("allowed", "user")
    assert line(box, "deletion").falls_back.startswith("Forbidden")

    rules_save(whole(box), {"deletion": ("forbidden", True)}, ada)
    assert (line(box, "deletion").held.value, line(box, "deletion").is_locked) == ("forbidden", True)
    with pytest.raises(MailboxRefused, match="is set by an admin for all mailboxes"):
        own_save(whole(box), Mailbox.objects.get(pk=mailbox.pk), {"deletion": "forbidden"}, ada)
    assert own_save(whole(box), Mailbox.objects.get(pk=mailbox.pk), {"deletion": "allowed"}, ada) == []  # as it was chosen: no change
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions[-3:] == ["change mailbox settings", "change settings of mailbox", "change mailbox settings"]


def test_a_choice_is_taken_back_and_what_is_no_choice_is_refused(box, ada):
    mailbox = Mailbox.objects.get(address=box.mine)
    own_save(whole(box), mailbox, {"out_of_view": "remove", "contacts": "on"}, ada)
    assert Mailbox.objects.get(pk=mailbox.pk).settings == {"out_of_view": "remove", "contacts": True}

    own_save(whole(box), mailbox, {"out_of_view": ""}, ada)
    assert Mailbox.objects.get(pk=mailbox.pk).settings == {"contacts": True}
    for wanted in ({"contacts": "maybe"}, {"deletion": "all"}, {"view": "x" * 65}, {"nothing": "on"}):
        with pytest.raises(MailboxRefused):
            own_save(whole(box), mailbox, wanted, ada)
    assert Mailbox.objects.get(pk=mailbox.pk).settings == {"contacts": True}


def test_s1_4_s1_5_real_views_are_offered_and_counted_as_the_mailboxs_user(box, ada):
    """S1.4, S1.5: a view can be chosen; “My Contacts” is the default."""
    buyers = {"object": "Contact", "name": "Buyers", "label": "Buyers", "scope": "mine", "where": "Title = 'Buyer'"}
    box.world.salesforce.set_switches({"list_views": [buyers]})
    for n in range(3):
        box.contact(f"Lind{n}", Title="Buyer" if n else "Seller")
    box.contact("Theirs", owner=box.theirs, Title="Buyer")
    crm, user = box.parent.crm, box.users[box.mine]

    views = ViewChoices(views_read(crm, box.wiring))

    shown = line(box, "view", views)
    assert (shown.held.value, shown.falls_back) == ("mine", "My Contacts")
    titles = [title for _, title in views.pairs("")]
    assert titles[:2] == ["My Contacts", "All Contacts"] and "Buyers" in titles and len(titles) == len(set(titles))
    buyers = next(value for value, title in views.pairs("") if title == "Buyers")
    box.wiring.open_connector(crm).close()
    box.calls()
    assert [view_count(crm, view, user, box.wiring) for view in ("mine", "everything", buyers)] == [3, 4, 2]
    assert box.calls()["salesforce"] <= 5  # a count is one call, and a saved view's terms are another
    assert dict(views.pairs("00Bgone"))["00Bgone"] == "View 00Bgone"  # chosen once, and gone: it is not silently another one
    with pytest.raises(MailboxRefused, match="no such list view"):
        view_count(crm, "00B000000000999", user, box.wiring)


def test_s1_19_how_contacts_are_made_is_checked_against_salesforce(box, ada):
    """S1.19: the creation workflow is configurable per customer."""
    account = box.world.salesforce.create_record("Account", {"Name": "House"})["Id"]
    good = Creation({"Department": "Sales", "DoNotCall": "yes"}, ("Title",), ("LeadSource",), account)

    assert creation_save(whole(box), good, ada, box.wiring) and not creation_save(whole(box), good, ada, box.wiring)

    stored = creation_of(whole(box))
    assert (stored.account_name, stored.required, stored.wanted, stored.defaults) == (
        "House",
        ("Title",),
        ("LeadSource",),
        {"Department": "Sales", "DoNotCall": "on"},
    )
    refused = (
        (Creation({"Nowhere__c": "x"}), "no field “Nowhere__c”"),
        (Creation({"DoNotCall": "perhaps"}), "yes or no"),
        (Creation({"Department": "x" * 300}), "takes 80 characters"),
        (Creation({}, ("LeadSource",)), "no field of the mailbox is mapped to it"),
        (Creation({}, ("Nowhere__c",)), "have no field"),
        (Creation({}, (), ("Nowhere__c",)), "have no field"),
        (Creation({}, (), (), "001000000000999AAA"), "id of no account"),
        (Creation({}, (), (), "' OR 1=1"), "id of no account"),
    )
    for wanted, why in refused:
        with pytest.raises(MailboxRefused, match=why):
            creation_save(whole(box), wanted, ada, box.wiring)
    assert creation_of(whole(box)) == stored
    assert "Sales" not in str(AuditEntry.objects.last().detail)  # names of what changed, no values of records


def test_an_admin_sees_what_was_set_for_all(box, ada):
    rules_save(whole(box), {"contacts": ("on", False), "view": ("everything", True)}, ada)
    rules = {r.setting.name: r for r in rules_of(whole(box), NO_VIEWS)}
    assert rules["contacts"].held.value is True and not rules["contacts"].is_locked
    assert rules["view"].is_locked and [o.title for o in rules["view"].options if o.is_chosen] == ["All Contacts"]
    assert rules_save(whole(box), {"contacts": ("on", False), "view": ("everything", True)}, ada) == []
