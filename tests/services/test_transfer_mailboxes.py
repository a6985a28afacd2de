"""Settings of mailboxes carried from one site to another: by heading and by group, and never a saved view."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from reconciliation.models import MailboxGroup, SyncPass
from reconciliation.services.mailbox_groups import group_save
from reconciliation.services.mailbox_settings import rules_save, window_of, window_save
from reconciliation.services.set_up import events_pass
from reconciliation.services.transfer import TransferRefused, checksum, export_text, import_plan, settings_import
from tests.boxes import boxes

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    call_command("migrate", verbosity=0)
    box = boxes("microsoft")
    events_pass(box.parent.crm, box.parent.peer)
    return box


@pytest.fixture
def ada():
    return User.objects.create_superuser("ada")


def row(box):
    return SyncPass.objects.get(pk=box.parent.pk)


def as_tried_out(box, ada):
    """Returns the file of a site where mailboxes are set in every way, and puts this site back to what is shipped."""
    rules_save(row(box), {"share_events": ("on", True), "email_files": ("1000000", False), "view": ("00B000000000001", False)}, ada)
    group_save(None, "Sales", {"share_events": False, "view": "everything"}, ada)
    window_save(7, 30, ada)
    text = export_text()
    SyncPass.objects.update(settings={})
    MailboxGroup.objects.all().delete()
    return text


def changed(text, **content):
    document = json.loads(text)
    document["content"]["mailboxes"] = {**document["content"]["mailboxes"], **content}
    document["checksum"] = checksum(document["content"])
    return json.dumps(document)


def test_what_is_set_for_mailboxes_is_shown_by_heading_then_stored_for_every_pass(box, ada):
    text = as_tried_out(box, ada)

    plan = import_plan(text, ada)
    by_title = {part.title: part.lines for part in plan.changed}
    calendar = by_title["Mailboxes: Calendar"]
    assert [(line.name, line.after) for line in calendar] == [
        ("New events that nobody marked", "Are shared with Salesforce by themselves (locked)")
    ]
    assert [line.after for line in by_title["Mailboxes: E-mails"]] == ["Are saved, up to 1 MB each"]
    assert "00B" not in text and "Mailboxes: Contacts" not in by_title  # a view is one of its organisation
    assert [(line.before, line.after) for line in by_title["Days of calendars"]] == [(14, 7), (61, 30)]
    assert by_title["Group of mailboxes Sales"][0].after == "is made"
    assert not SyncPass.objects.filter(settings__has_key="mailbox_settings").exists()  # nothing is stored yet

    settings_import(text, ada, stamp=plan.stamp)

    for sync_pass in SyncPass.objects.whole().filter(name__in=("contacts", "events")):
        assert sync_pass.settings["mailbox_settings"]["share_events"] == {"value": True, "is_locked": True}, sync_pass
    assert MailboxGroup.objects.get().settings == {"share_events": False, "view": "everything"}
    assert (window_of().back, window_of().ahead) == (7, 30)
    assert import_plan(text, ada).changed == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"settings": [{"name": "nosuch", "value": "on", "is_locked": True}]}, "there is no “nosuch”"),
        ({"settings": [{"name": "events", "value": "perhaps", "is_locked": True}]}, "is no choice of “Calendar”"),
        ({"groups": [{"name": "Sales", "settings": [{"name": "events", "value": "perhaps"}]}]}, "is no choice of “Calendar”"),
        ({"days": [7]}, "must be the days back and the days ahead"),
        ({"days": "x"}, "must be a list"),
        ({"more": 1}, "does not know"),
    ],
)
def test_a_file_that_says_what_no_setting_has_is_refused_with_its_place(box, ada, content, sentence):
    with pytest.raises(TransferRefused, match=sentence):
        import_plan(changed(as_tried_out(box, ada), **content), ada)


def test_days_out_of_bounds_store_nothing_at_all(box, ada):
    text = changed(as_tried_out(box, ada), days=[9999, 30])

    with pytest.raises(TransferRefused, match="whole numbers"):
        settings_import(text, ada, stamp=import_plan(text, ada).stamp)
    assert not MailboxGroup.objects.exists() and window_of().back == 14


def test_a_file_of_before_says_nothing_of_mailboxes_and_changes_nothing_of_them(box, ada):
    document = json.loads(as_tried_out(box, ada))
    del document["content"]["mailboxes"]
    document["checksum"] = checksum(document["content"])

    assert not any("ailbox" in part.title or "calendars" in part.title for part in import_plan(json.dumps(document), ada).changed)
