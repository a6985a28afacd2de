"""What is set for mailboxes: whose word counts, what is refused, how views are offered and counted, how contacts are made."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User

from reconciliation.core.mailbox_settings import SECTIONS, SETTINGS
from reconciliation.engine import item_terms
from reconciliation.engine.mailbox_queue import is_switched_on
from reconciliation.engine.mailbox_terms import effective_of
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
    sections_of,
    view_count,
    views_read,
    window_of,
    window_save,
)
from reconciliation.services.mailboxes import MailboxRefused
from reconciliation.services.set_up import emails_pass, events_pass
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


# --- one place for every pass over mailboxes --------------------------------------------------------------------------


def test_what_an_admin_sets_holds_for_every_pass_over_mailboxes_also_for_one_that_is_made_later(box, ada):
    crm, peer = box.parent.crm, box.parent.peer
    events = events_pass(crm, peer)
    mailbox = Mailbox.objects.get(address=box.mine)

    rules_save(whole(box), {"share_events": ("on", True), "emails": ("on", False)}, ada)
    emails = emails_pass(crm, peer)

    for parent in SyncPass.objects.filter(pk__in=[events.pk, emails.pk, box.parent.pk]):
        held = effective_of(parent, mailbox)
        assert (held["share_events"].value, held["share_events"].is_locked, held["emails"].value) == (True, True, True), parent
    assert not is_switched_on(SyncPass.objects.get(pk=events.pk), mailbox) and is_switched_on(emails, mailbox)


def test_a_task_of_many_mailboxes_asks_for_settings_no_more_than_for_one(box, ada, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.mailbox_queue.async_task", lambda *a, **k: None)
    rules_save(whole(box), {"contacts": ("off", True)}, ada)
    rows = list(SyncPass.objects.exclude(mailbox=None).select_related("mailbox__group", "parent"))

    with django_assert_num_queries(0):
        assert [is_switched_on(box.parent, row.mailbox) for row in rows] == [False] * len(rows)


def test_every_setting_stands_under_a_heading_of_its_own_kind(box):
    sections = dict(sections_of(rules_of(whole(box), NO_VIEWS)))

    assert list(sections) == [title for title in SECTIONS if title in sections] and set(sections) >= {"Contacts", "Calendar", "E-mails"}
    assert [line.setting.name for line in sections["Contacts"]] == ["contacts", "view", "deletion", "out_of_view", "existing"]
    assert sum(len(lines) for lines in sections.values()) == len(SETTINGS)


def test_the_days_of_calendars_are_set_within_bounds(box, ada):
    assert window_of() is None
    with pytest.raises(MailboxRefused, match="No pass goes over calendars"):
        window_save(7, 30, ada)
    events = events_pass(box.parent.crm, box.parent.peer)
    assert (window_of().back, window_of().ahead) == (14, 61)

    for back, ahead in ((None, 30), (7, 0), (7, None), (9999, 30), (7, 9999)):
        with pytest.raises(MailboxRefused, match="whole numbers"):
            window_save(back, ahead, ada)
    assert window_save(7, 30, ada) and not window_save(7, 30, ada)

    now = datetime(2026, 12, 1, 15, tzinfo=UTC)
    looked_at = item_terms.window_of(SyncPass.objects.get(pk=events.pk), now)
    assert (looked_at.start, looked_at.end) == (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))
    assert AuditEntry.objects.filter(action="change days of calendars").count() == 1
