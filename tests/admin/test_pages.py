"""Every page, found through the URL resolver: who may see it, with nothing, with hostile values, in few queries."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.utils import timezone
from django_filters import FilterSet

import reconciliation.views
from reconciliation.models import (
    Binding,
    BlockedAddress,
    CalendarWatch,
    Case,
    ConflictField,
    Connection,
    Difference,
    Email,
    EmailCopy,
    Forgetting,
    HookDelivery,
    Import,
    ImportRow,
    InstaSync,
    MadePerson,
    Mailbox,
    MailboxGroup,
    MailboxItem,
    MappingTable,
    MeetingNotice,
    Operation,
    OwnDomain,
    Policy,
    RecordType,
    Run,
    RunEvent,
    SyncPass,
    Tombstone,
    UnresolvedPerson,
    UserPair,
)
from tests.sandboxed import make

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('x')</script>\u202e\"'&{{ 7 }}" + "x" * 100
# name -> (least role, method); a page that is missing here fails the test below.
PAGES = {
    "index": ("viewer", "get"),
    "dashboard_status": ("viewer", "get"),
    "pass_run": ("operator", "post"),
    "pass_pause": ("operator", "post"),
    "pass_preview": ("operator", "post"),
    "run_apply": ("operator", "post"),
    "run_undo": ("operator", "get"),
    "pass_resume": ("operator", "post"),
    "run_list": ("viewer", "get"),
    "run_detail": ("viewer", "get"),
    "run_progress": ("viewer", "get"),
    "run_export": ("viewer", "get"),
    "event_detail": ("viewer", "get"),
    "duplicate_list": ("viewer", "get"),
    "duplicate_detail": ("viewer", "get"),
    "duplicate_decide": ("operator", "post"),
    "duplicate_here": ("operator", "post"),
    "duplicate_bulk": ("operator", "get"),
    "contact_question_list": ("viewer", "get"),
    "contact_question_export": ("viewer", "get"),
    "contact_question": ("viewer", "get"),
    "contact_question_decide": ("operator", "post"),
    "contact_question_here": ("operator", "post"),
    "incomplete_list": ("viewer", "get"),
    "incomplete_export": ("viewer", "get"),
    "activity_list": ("viewer", "get"),
    "activity_export": ("viewer", "get"),
    "activity_begin": ("admin", "post"),
    "item_list": ("viewer", "get"),
    "item_export": ("viewer", "get"),
    "item_take_back": ("operator", "post"),
    "item_detail": ("viewer", "get"),
    "item_send_update": ("operator", "post"),
    "item_link": ("operator", "post"),
    "email_list": ("viewer", "get"),
    "email_export": ("viewer", "get"),
    "email_detail": ("viewer", "get"),
    "email_link": ("operator", "post"),
    "email_take_back": ("operator", "post"),
    "conflict_list": ("viewer", "get"),
    "conflict_export": ("viewer", "get"),
    "conflict_bulk": ("operator", "get"),
    "conflict_refresh": ("operator", "post"),
    "conflict_detail": ("viewer", "get"),
    "conflict_decide": ("operator", "post"),
    "conflict_here": ("operator", "post"),
    "operation_put_back": ("operator", "get"),
    "error_decide": ("operator", "post"),
    "prospect_list": ("viewer", "get"),
    "prospect_export": ("viewer", "get"),
    "prospect_bulk": ("operator", "get"),
    "prospect_matches": ("viewer", "get"),
    "prospect_decide": ("operator", "post"),
    "prospect_keep_all": ("operator", "post"),
    "prospect_sync": ("operator", "get"),
    "account_sync": ("operator", "get"),
    "mailbox_copy": ("operator", "get"),
    "import_list": ("viewer", "get"),
    "import_list_export": ("viewer", "get"),
    "import_new": ("operator", "get"),
    "import_preview": ("operator", "get"),
    "import_start": ("operator", "post"),
    "import_one": ("operator", "post"),
    "import_detail": ("viewer", "get"),
    "import_detail_export": ("viewer", "get"),
    "import_progress": ("viewer", "get"),
    "import_retry": ("operator", "post"),
    "import_go_on": ("operator", "post"),
    "owner_check": ("operator", "post"),
    "case_refresh": ("operator", "post"),
    "error_list": ("viewer", "get"),
    "error_detail": ("viewer", "get"),
    "error_retry": ("operator", "post"),
    "owner_list": ("viewer", "get"),
    "why": ("viewer", "get"),
    "record_list": ("viewer", "get"),
    "difference_list": ("viewer", "get"),
    "difference_force": ("operator", "get"),
    "coverage": ("viewer", "get"),
    "coverage_count": ("operator", "post"),
    "coverage_list": ("viewer", "get"),
    "tombstone_list": ("viewer", "get"),
    "tombstone_detail": ("viewer", "get"),
    "tombstone_restore": ("operator", "post"),
    "record_detail": ("viewer", "get"),
    "record_history": ("viewer", "get"),
    "record_field": ("viewer", "get"),
    "journal": ("viewer", "get"),
    "dedupe_policy": ("viewer", "get"),
    "record_types": ("viewer", "get"),
    "record_types_calendar": ("admin", "post"),
    "record_types_order": ("admin", "post"),
    "record_type_save": ("admin", "post"),
    "user_pair_list": ("operator", "get"),
    "user_pair_export": ("operator", "get"),
    "user_pair_choose": ("admin", "post"),
    "user_pair_forget": ("admin", "post"),
    "log_ins": ("admin", "get"),
    "log_in_unlock": ("admin", "post"),
    "second_factor": ("viewer", "get"),
    "second_factor_start": ("viewer", "post"),
    "second_factor_confirm": ("viewer", "post"),
    "second_factor_codes": ("viewer", "post"),
    "second_factor_stop": ("viewer", "post"),
    "second_factor_remove": ("admin", "post"),
    "second_factor_require": ("admin", "post"),
    "alerts": ("viewer", "get"),
    "alerts_test": ("viewer", "post"),
    "alerts_chat": ("admin", "post"),
    "alerts_chat_test": ("admin", "post"),
    "audit": ("admin", "get"),
    "audit_verify": ("admin", "post"),
    "operation_detail": ("viewer", "get"),
    "schedule": ("admin", "get"),
    "setup": ("admin", "get"),
    "setup_test": ("admin", "post"),
    "setup_fields": ("admin", "get"),
    "setup_fields_read": ("admin", "post"),
    "setup_fields_create": ("admin", "post"),
    "setup_owners": ("admin", "post"),
    "setup_pilot": ("admin", "get"),
    "setup_pilot_run": ("admin", "post"),
    "setup_switch_on": ("admin", "post"),
    "run_confirm": ("admin", "post"),
    "writes_stop": ("admin", "post"),
    "writes_allow": ("admin", "post"),
    "mapping_list": ("viewer", "get"),
    "mapping_edit": ("admin", "get"),
    "run_list_export": ("viewer", "get"),
    "duplicate_export": ("viewer", "get"),
    "error_export": ("viewer", "get"),
    "owner_export": ("viewer", "get"),
    "journal_export": ("viewer", "get"),
    "audit_export": ("admin", "get"),
    "record_export": ("viewer", "get"),
    "record_history_export": ("viewer", "get"),
    "record_field_export": ("viewer", "get"),
    "difference_export": ("viewer", "get"),
    "coverage_export": ("viewer", "get"),
    "tombstone_export": ("viewer", "get"),
    "mapping_versions_export": ("viewer", "get"),
    "forget_export": ("admin", "get"),
    "support": ("operator", "get"),
    "support_download": ("operator", "post"),
    "forget_list": ("admin", "get"),
    "forget_detail": ("admin", "get"),
    "forget_decide": ("admin", "post"),
    "mapping_versions": ("viewer", "get"),
    "transfer": ("admin", "get"),
    "transfer_export": ("admin", "post"),
    "transfer_import": ("admin", "post"),
    "transfer_apply": ("admin", "post"),
    "retention": ("admin", "get"),
    "retention_prune": ("admin", "post"),
    "mapping_version": ("viewer", "get"),
    "mapping_restore": ("admin", "get"),
    "connection_list": ("admin", "get"),
    "connection_edit": ("admin", "get"),
    "connection_test": ("admin", "post"),
    "connection_add": ("admin", "get"),
    "connection_connect": ("admin", "post"),
    "connection_consent": ("admin", "post"),
    "connection_callback": ("admin", "get"),
    "hooks_switch": ("admin", "post"),
    "delivery_list": ("admin", "get"),
    "delivery_export": ("admin", "get"),
    "insta_sync": ("viewer", "get"),
    "insta_sync_export": ("viewer", "get"),
    "insta_sync_save": ("admin", "post"),
    "insta_sync_test": ("admin", "post"),
    "insta_sync_retry": ("operator", "post"),
    "mailbox_list": ("viewer", "get"),
    "mailbox_export": ("viewer", "get"),
    "mailbox_bulk": ("operator", "post"),
    "mailbox_activity": ("viewer", "get"),
    "mailbox_window_save": ("admin", "post"),
    "mailbox_add": ("admin", "get"),
    "mailbox_add_these": ("admin", "post"),
    "mailbox_add_preview": ("admin", "post"),
    "mailbox_add_file": ("admin", "post"),
    "mailbox_settings": ("operator", "get"),
    "mailbox_settings_save": ("admin", "post"),
    "linking_settings": ("operator", "get"),
    "linking_settings_save": ("admin", "post"),
    "mailbox_creation_save": ("admin", "post"),
    "mailbox_group_add": ("admin", "post"),
    "mailbox_group": ("admin", "get"),
    "mailbox_detail": ("viewer", "get"),
    "mailbox_do": ("operator", "post"),
    "mailbox_test": ("operator", "post"),
    "mailbox_preview": ("operator", "post"),
    "mailbox_start": ("admin", "post"),
    "mailbox_start_many": ("admin", "post"),
    "mailbox_end_many": ("admin", "post"),
    "mailbox_user": ("admin", "get"),
    "mailbox_group_set": ("admin", "post"),
    "mailbox_own_settings": ("operator", "get"),
    "mailbox_emails": ("operator", "get"),
    "mailbox_emails_do": ("operator", "post"),
    "mailbox_view_count": ("operator", "get"),
    "unresolved_list": ("viewer", "get"),
    "unresolved_export": ("viewer", "get"),
    "unresolved_decide": ("operator", "post"),
    "unresolved_detail": ("viewer", "get"),
    "unresolved_link": ("operator", "post"),
    "made_person_list": ("viewer", "get"),
    "made_person_export": ("viewer", "get"),
    "made_person_decide": ("operator", "post"),
    "made_person_detail": ("viewer", "get"),
    "made_person_complete": ("operator", "post"),
    "made_person_take_back": ("operator", "post"),
    "blocklist": ("viewer", "get"),
    "blocklist_export": ("viewer", "get"),
    "blocklist_add": ("admin", "post"),
    "blocklist_remove": ("admin", "post"),
    "blocklist_put_back": ("admin", "post"),
    "own_domain_list": ("viewer", "get"),
    "own_domain_export": ("viewer", "get"),
    "own_domain_add": ("admin", "post"),
    "own_domain_look_up": ("admin", "post"),
    "own_domain_switch": ("admin", "post"),
}
# Of a mailbox's user, who is no staff and sees nothing else: see `test_mailbox_pages`.
OF_A_MAILBOX = ("my_mailbox", "mailbox_link")
# Pages that lead on instead of showing something: without a remembered flow the callback goes back to the connections.
# And without Salesforce there are no matches, and nothing to pull down.
LEADS_ON = {"connection_callback": "/connections/", "why": "/records/", "prospect_matches": "/prospects/", "prospect_sync": "/prospects/"}
LEADS_ON |= {"account_sync": "/records/", "mailbox_copy": "/mailboxes/", "import_preview": "/imports/new/"}
# Changes that answer a script or with a file; every other leads back to a page.
ANSWERS_ITSELF = {"duplicate_here", "contact_question_here", "conflict_here", "support_download", "transfer_export"}
OF_ONE_MAILBOX = ("detail", "do", "test", "preview", "start", "user", "group_set", "own_settings", "view_count", "emails", "emails_do")
RANK = {"nobody": 0, "viewer": 1, "operator": 2, "admin": 3}
DJANGOS = ("login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site", "app_list", "auth_")


def names():
    found = []
    for pattern in get_resolver().url_patterns[-1].url_patterns:
        name = getattr(pattern, "name", None)
        if name and not name.startswith((*DJANGOS, *OF_A_MAILBOX)):
            found.append(name)
    return found


def leave_behind(box):
    """Stores a field that differs, one in conflict, and a record that was deleted, with hostile values."""
    gone = {"sync_pass": box.sync_pass, "crm_id": "900", "peer_id": "900", "name": HOSTILE[:200]}
    linked = {**gone, "crm_id": "901", "peer_id": "901"}
    linked = Binding.objects.create(**linked, bound_at=box.clock.at, synced_at=box.clock.at)
    Difference.objects.create(
        sync_pass=box.sync_pass, binding=linked, kind="linked", crm_field="industry", peer_field="industry", crm_value=HOSTILE,
        peer_value="Food", noted_at=box.clock.at,
    )  # fmt: skip
    Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose"})
    people = Connection.objects.create(name="Salesforce", system="salesforce", base_url="http://127.0.0.1:1")
    own = {"crm": people, "peer": box.sync_pass.peer, "mapping": box.sync_pass.mapping}
    both = SyncPass.objects.create(name="prospects", title="Prospects", **own)
    RecordType.objects.create(
        sync_pass=both, crm_object="Contact", peer_object="prospect", mapping=both.mapping, conditions=[[HOSTILE, "is", HOSTILE]],
        held_reason=HOSTILE,
    )  # fmt: skip
    UserPair.objects.create(sync_pass=both, crm_user_id="005", crm_name=HOSTILE[:255], read_at=box.clock.at)
    texts = {"name": HOSTILE[:200], "sentence": HOSTILE, "reason": "both_changed", "note": HOSTILE, "opened_at": box.clock.at}
    case = Case.objects.create(sync_pass=box.sync_pass, kind="conflict", crm_type="Contact", crm_id="902", peer_id="902", **texts)
    ConflictField.objects.create(
        case=case, crm_field="industry", peer_field="industry", crm_value=HOSTILE, peer_value=[HOSTILE], why=HOSTILE, crm_changed_by=HOSTILE
    )
    binding = Binding.objects.create(**gone, is_tombstone=True, bound_at=box.clock.at, synced_at=box.clock.at)
    HookDelivery.objects.create(
        connection=box.sync_pass.peer, digest="0" * 64, object_type="prospect", object_id=HOSTILE[:64], action="updated",
        body={"data": HOSTILE}, received_at=box.clock.at, note=HOSTILE[:300],
    )  # fmt: skip
    Tombstone.objects.create(**gone, binding=binding, why="crm", deleted_by=HOSTILE, found_at=box.clock.at, crm_values={"name": HOSTILE})
    mail = Connection.objects.create(name="Mail", system="microsoft", base_url="http://127.0.0.1:1", settings={"tenant": "t"})
    boxes = SyncPass.objects.create(name="contacts", title="Contacts", crm=people, peer=mail, mapping=both.mapping)
    group = MailboxGroup.objects.create(name=HOSTILE[:100])
    mailbox = Mailbox.objects.create(
        connection=mail, address="ann@example.test", name=HOSTILE[:255], crm_user_id="005", crm_user_name=HOSTILE[:255], group=group,
        state="suspended", state_reason=HOSTILE, checks=[{"name": HOSTILE, "is_ok": False, "sentence": HOSTILE, "remedy": HOSTILE}],
    )  # fmt: skip
    child = SyncPass.objects.create(
        name="contacts:1", title="Contacts", parent=boxes, mailbox=mailbox, crm=people, peer=mail, mapping=both.mapping
    )
    Run.objects.create(sync_pass=child, state="failed", note=HOSTILE, started_at=box.clock.at, ended_at=box.clock.at)
    ours = "http://127.0.0.1:8000/hooks/microsoft/"
    InstaSync.objects.create(reached="no", reached_says=HOSTILE, address=ours, tested_at=box.clock.at, checks=mailbox.checks)
    CalendarWatch.objects.create(mailbox=mailbox, state="failed", why=HOSTILE, tries=2, due_at=box.clock.at)
    MeetingNotice.objects.create(mailbox=mailbox, digest="0" * 64, what="updated", event_id=HOSTILE[:255], received_at=box.clock.at)
    batch = Import.objects.create(
        sync_pass=box.sync_pass, source="csv", title=HOSTILE, note=HOSTILE, total=1, done=1, state="interrupted", same_email="choose",
        started_by_name=HOSTILE[:150], created_at=box.clock.at,
    )  # fmt: skip
    ImportRow.objects.create(
        batch=batch, number=1, given=HOSTILE, crm_type="Lead", crm_id="00QAA0000000001YAA", name=HOSTILE, email=HOSTILE, state="failed",
        reason="same_email", sentence=HOSTILE, peer_id="12",
    )  # fmt: skip


def leave_questions(box):
    """Stores a mailbox with both kinds of questions and a contact that lacks something, with hostile values."""
    own = SyncPass.objects.get(name="contacts:1")
    texts = {"sync_pass": own, "name": HOSTILE[:200], "sentence": HOSTILE, "note": HOSTILE, "opened_at": box.clock.at}
    found = {"peer_id": "003QAA0000000001YAA", "name": HOSTILE, "reason": HOSTILE, "fields": {"name": HOSTILE}, "bound_to": ""}
    Case.objects.create(kind="exists", reason="exists", peer_id="people/c1", candidates=[found], crm_fields={"name": HOSTILE}, **texts)
    Case.objects.create(kind="deletion", reason="others", crm_type="Contact", crm_id="003", peer_id="people/c2", **texts)
    Binding.objects.create(
        sync_pass=own, crm_type="Contact", crm_id="003", peer_type="contact", peer_id="people/c2", name=HOSTILE[:200], how="created",
        lacks=f"AccountId,{HOSTILE[:40]}", crm_base={"name": HOSTILE}, bound_at=box.clock.at, synced_at=box.clock.at,
    )  # fmt: skip


def leave_people(box):
    """Stores an unknown address, a person who was made, a blocked one and an own domain, with hostile values."""
    mailbox, at = Mailbox.objects.get(), box.clock.at
    items = [{"id": HOSTILE, "kind": "email", "shown": HOSTILE, "at": at.isoformat()}]
    UnresolvedPerson.objects.create(
        mailbox=mailbox, address=HOSTILE[:254], name=HOSTILE[:255], reason=HOSTILE, said={HOSTILE: HOSTILE}, items=items, count=1,
        first_seen_at=at, last_seen_at=at,
    )  # fmt: skip
    MadePerson.objects.create(
        connection=Connection.objects.get(system="salesforce"), mailbox=mailbox, address=HOSTILE[:254], name=HOSTILE[:255], state="made",
        kind="Lead", record_id="00Q", why=[HOSTILE], missing=f"Company,{HOSTILE[:40]}", made_at=at,
    )  # fmt: skip
    BlockedAddress.objects.create(entry=HOSTILE[:254], note=HOSTILE[:200], by_name=HOSTILE[:150], at=at)
    OwnDomain.objects.create(domain=HOSTILE[:253], by_name=HOSTILE[:150], at=at)


@pytest.fixture
def world(monkeypatch):
    """A sandbox with one record of everything; the cluster is not asked."""
    box = make()
    box.world.outreach.create_record("accounts", {"name": HOSTILE[:255]})
    box.organisation(HOSTILE[:255], industry=HOSTILE)
    box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    box.run(kind=Run.Kind.PREVIEW)
    leave_behind(box)
    leave_questions(box)
    leave_people(box)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def forgotten():
    found = Forgetting.objects.first()
    return found or Forgetting.objects.create(state="counted", terms={"words": [HOSTILE], "people": []}, asked_by_name=HOSTILE)


def email():
    """Returns an e-mail whose texts are all hostile."""
    said = {"subject": HOSTILE[:255], "sender": HOSTILE[:320], "recipients": HOSTILE, "sentence": HOSTILE, "message_id": HOSTILE}
    links = {"who": HOSTILE, "steps": [HOSTILE], "made": [{"type": HOSTILE, "id": HOSTILE, "address": HOSTILE}]}
    values = {**said, "links": links, "left_out": [HOSTILE], "since": timezone.now(), "crm_id": "02s", "crm_type": "EmailMessage"}
    child = SyncPass.objects.exclude(mailbox=None).first()
    row, is_new = Email.objects.get_or_create(connection=child.crm, key="hostile", defaults={**values, "state": "saved", "holder": child})
    if is_new:
        EmailCopy.objects.create(email=row, sync_pass=child, mail_id=HOSTILE[:255], why="auto", by=HOSTILE[:150], seen_at=timezone.now())
    return row


def item():
    """Returns a calendar item whose texts are all hostile."""
    links = {"who": HOSTILE, "what": HOSTILE, "others": [{"id": HOSTILE}], "steps": [HOSTILE], "unresolved": [HOSTILE]}
    links |= {"made": [{"type": HOSTILE, "id": HOSTILE, "address": HOSTILE}], "left_out": [{"address": HOSTILE, "reason": HOSTILE}]}
    said = {"name": HOSTILE[:255], "sentence": HOSTILE, "links": links, "held": [HOSTILE], "is_held": True, "guests": 2, "why": "auto"}
    said |= {"crm_type": "Event", "crm_id": "00U", "since": timezone.now(), "seen_at": timezone.now(), "starts_at": timezone.now()}
    child = SyncPass.objects.exclude(mailbox=None).first()
    return MailboxItem.objects.get_or_create(sync_pass=child, object_type="event", item_id=HOSTILE[:255], defaults=said)[0]


def record():
    """Returns the organisation that has a case, events and a refused write."""
    return {"system": "workbooks", "object_type": "organisation", "record_id": Case.objects.filter(kind="error").earliest("pk").crm_id}


def address(name):
    kwargs = {
        "pass_run": lambda: {"name": "organisations"},
        "pass_pause": lambda: {"name": "organisations"},
        "pass_preview": lambda: {"name": "organisations"},
        **{f"item_{what}": lambda: {"pk": item().pk} for what in ("detail", "send_update", "link")},
        "email_detail": lambda: {"pk": email().pk},
        "email_take_back": lambda: {"pk": email().pk},
        "email_link": lambda: {"pk": email().pk},
        "run_undo": lambda: {"pk": RunEvent.objects.first().run_id},
        "run_confirm": lambda: {"pk": Run.objects.filter(kind="preview").first().pk},
        "run_apply": lambda: {"pk": Run.objects.filter(kind="preview").first().pk},
        "pass_resume": lambda: {"name": "organisations"},
        "run_detail": lambda: {"pk": Run.objects.first().pk},
        "run_progress": lambda: {"pk": Run.objects.first().pk},
        "run_export": lambda: {"pk": RunEvent.objects.first().run_id},
        "event_detail": lambda: {"pk": RunEvent.objects.first().pk},
        "duplicate_detail": lambda: {"pk": Case.objects.filter(kind="duplicate").earliest("pk").pk},
        "duplicate_decide": lambda: {"pk": Case.objects.filter(kind="duplicate").earliest("pk").pk},
        "duplicate_here": lambda: {"pk": Case.objects.filter(kind="duplicate").earliest("pk").pk},
        "contact_question": lambda: {"pk": Case.objects.filter(kind="exists").earliest("pk").pk},
        "contact_question_decide": lambda: {"pk": Case.objects.filter(kind="deletion").earliest("pk").pk},
        "contact_question_here": lambda: {"pk": Case.objects.filter(kind="exists").earliest("pk").pk},
        "conflict_detail": lambda: {"pk": Case.objects.filter(kind="conflict").earliest("pk").pk},
        "conflict_decide": lambda: {"pk": Case.objects.filter(kind="conflict").earliest("pk").pk},
        "conflict_here": lambda: {"pk": Case.objects.filter(kind="conflict").earliest("pk").pk},
        "operation_put_back": lambda: {"pk": Operation.objects.first().pk},
        "error_decide": lambda: {"pk": Case.objects.filter(kind="error").earliest("pk").pk},
        "prospect_matches": lambda: {"peer_id": 1},
        "prospect_decide": lambda: {"peer_id": 1},
        "prospect_sync": lambda: {"peer_id": 1},
        "account_sync": lambda: {"peer_id": 1},
        "mailbox_copy": lambda: {"pk": 999_999},
        "import_detail": lambda: {"pk": Import.objects.earliest("pk").pk},
        "import_detail_export": lambda: {"pk": Import.objects.earliest("pk").pk},
        "import_progress": lambda: {"pk": Import.objects.earliest("pk").pk},
        "import_retry": lambda: {"pk": Import.objects.earliest("pk").pk},
        "import_go_on": lambda: {"pk": Import.objects.earliest("pk").pk},
        "error_detail": lambda: {"pk": Case.objects.filter(kind="error").earliest("pk").pk},
        "forget_detail": lambda: {"pk": forgotten().pk},
        "forget_decide": lambda: {"pk": forgotten().pk},
        "support": lambda: {"kind": "case", "pk": Case.objects.filter(kind="error").earliest("pk").pk},
        "support_download": lambda: {"kind": "case", "pk": Case.objects.filter(kind="error").earliest("pk").pk},
        "mapping_edit": lambda: {"pk": MappingTable.objects.first().pk},
        "mapping_versions": lambda: {"pk": MappingTable.objects.first().pk},
        "mapping_versions_export": lambda: {"pk": MappingTable.objects.first().pk},
        "mapping_version": lambda: {"pk": MappingTable.objects.first().pk, "version": 1},
        "mapping_restore": lambda: {"pk": MappingTable.objects.first().pk, "version": 1},
        "connection_edit": lambda: {"pk": Connection.objects.first().pk},
        "connection_test": lambda: {"pk": Connection.objects.first().pk},
        "connection_add": lambda: {"system": "outreach"},
        "connection_consent": lambda: {"pk": Connection.objects.get(system="microsoft").pk},
        "connection_connect": lambda: {"pk": Connection.objects.get(system="outreach").pk},
        "hooks_switch": lambda: {"pk": Connection.objects.get(system="outreach").pk},
        "delivery_list": lambda: {"pk": Connection.objects.get(system="outreach").pk},
        "delivery_export": lambda: {"pk": Connection.objects.get(system="outreach").pk},
        "operation_detail": lambda: {"pk": Operation.objects.first().pk},
        "record_types_calendar": lambda: {"pk": RecordType.objects.first().sync_pass_id},
        "record_types_order": lambda: {"pk": RecordType.objects.first().sync_pass_id},
        "record_type_save": lambda: {"pk": RecordType.objects.first().pk},
        "user_pair_choose": lambda: {"pk": UserPair.objects.first().pk},
        "user_pair_forget": lambda: {"pk": UserPair.objects.first().pk},
        "record_detail": lambda: record(),
        "coverage_list": lambda: {"show": "organisations"},
        "coverage_export": lambda: {"show": "organisations"},
        "record_history_export": lambda: record(),
        "record_field_export": lambda: {**record(), "name": "industry"},
        "tombstone_detail": lambda: {"pk": Tombstone.objects.earliest("pk").pk},
        "tombstone_restore": lambda: {"pk": Tombstone.objects.earliest("pk").pk},
        "record_history": lambda: record(),
        "mailbox_group": lambda: {"pk": MailboxGroup.objects.earliest("pk").pk},
        **{f"mailbox_{what}": lambda: {"pk": Mailbox.objects.earliest("pk").pk} for what in OF_ONE_MAILBOX},
        "record_field": lambda: {**record(), "name": "industry"},
        **{f"unresolved_{what}": lambda: {"pk": UnresolvedPerson.objects.earliest("pk").pk} for what in ("detail", "link")},
        **{f"made_person_{what}": lambda: {"pk": MadePerson.objects.earliest("pk").pk} for what in ("detail", "complete", "take_back")},
        "own_domain_switch": lambda: {"pk": OwnDomain.objects.earliest("pk").pk},
    }.get(name, dict)()
    return reverse(f"admin:{name}", kwargs=kwargs)


def shown(client, name, query=None):
    """Returns the answer to a GET of that page, which is the page itself and no way round it."""
    answer = client.get(address(name), query)
    where = answer.headers.get("Location", "")
    assert answer.status_code == (302 if name in LEADS_ON else 200) and where.startswith(LEADS_ON.get(name, "")), name
    return answer


def text_of(answer):
    return (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode(errors="replace")


def parameters():
    """Returns every name that a page may read from an address: those of the filter bars, and those asked for by name."""
    views = Path(reconciliation.views.__path__[0]).glob("*.py")
    named = {name for view in views for name in re.findall(r"""\.get(?:list)?\("(\w+)\"""", view.read_text(encoding="utf-8"))}
    kinds, found = [FilterSet], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found |= set(kind.base_filters)
    return sorted(named | found)


def log_in(client, role):
    call_command("migrate", verbosity=0)
    user = User.objects.create_user(f"a-{role}", password="x", is_staff=True)
    if role != "nobody":
        user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def test_every_url_of_ours_is_listed_here():
    assert sorted(names()) == sorted(PAGES)


@pytest.mark.parametrize("role", RANK)
def test_each_role_gets_its_pages_and_no_others(client, world, role):
    log_in(client, role)

    for name, (least, method) in PAGES.items():
        answer = getattr(client, method)(address(name))
        if RANK[role] < RANK[least]:
            expected = 403
        elif method == "get":
            expected = 302 if name in LEADS_ON else 200
        else:
            expected = 200 if name in ANSWERS_ITSELF else 302
        assert answer.status_code == expected, (name, answer.status_code)


def test_what_changes_something_refuses_get(client, world):
    log_in(client, "admin")

    for name, (_, method) in PAGES.items():
        if method == "post":
            assert client.get(address(name)).status_code == 405, name


def test_a_visitor_is_sent_to_the_log_in(client, world):
    for name, (_, method) in PAGES.items():
        answer = getattr(client, method)(address(name))
        assert answer.status_code == 302 and answer.headers["Location"].startswith("/login/"), name


class TurnedRound(HTMLParser):
    """Collects our own words that stand behind a value which turns the direction of text, in the same element: they are read
    backwards."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.is_said = True
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.is_said = tag not in ("title", "option", "textarea")

    def handle_data(self, data):
        _, turned, rest = data.replace("is not one of the available choices", "").partition("\u202e")
        if self.is_said and turned and "\u2069" not in rest and re.search(r"x{8,}[^x]*[a-wyz]{3}", rest):
            self.found.append(data[-60:])


def test_hostile_values_are_escaped_on_every_page(client, world):
    log_in(client, "admin")
    names = parameters()
    assert {"q", "name", "state", "reason", "operation", "field", "with", "after", "row"} <= set(names)

    hostile = 0
    for name, (_, method) in PAGES.items():
        if method == "get":
            for query in (None, dict.fromkeys(names, HOSTILE)):
                answer = shown(client, name, query)
                if "html" in answer.headers["Content-Type"]:
                    page = text_of(answer)
                    assert "<script>alert" not in page, (name, query)
                    assert not TurnedRound(page).found, (name, TurnedRound(page).found)
                    hostile += "&lt;script&gt;alert" in page
    assert hostile > 20  # the records' values and what was asked for do come back, escaped


def with_session(client):
    """Makes the session one that was asked for its second factor just now: it is asked, and stored, once a minute."""
    client.get("/")  # content types are warm then
    session = client.session
    session["factor_asked_at"] = 2**40
    session.save()


# What people ask pages for; some of it means something to each of them.
ASKED = "q=a&name=a&state=open&kind=blank&crm_type=Lead&age=1&field=industry&sync_pass=1&assigned_to=1&with=1&page=2"


def test_no_page_needs_more_than_twelve_queries(client, world):
    log_in(client, "admin")
    with_session(client)

    addresses = {address(name): 302 if name in LEADS_ON else 200 for name, (_, method) in PAGES.items() if method == "get"}
    addresses |= {f"{where}?{ASKED}": status for where, status in addresses.items()}
    more = [f"/differences/force/?row={Difference.objects.get().pk}", "/records/?q=refused", "/records/?q=1", "/coverage/linked/"]
    more += ["/records/workbooks/organisation/901/", "/records/outreach/account/1/"]
    for where, status in {**addresses, **dict.fromkeys(more, 200)}.items():
        with CaptureQueriesContext(connection) as queries:
            assert client.get(where).status_code == status, where
        most = 16 if where.partition("?")[0].endswith(".csv") else 12  # a file also seals a row of the audit log
        assert len(queries) <= most, (where, len(queries), [q["sql"].partition("FROM")[2][:60] or q["sql"][:60] for q in queries])


def test_everybody_sees_on_every_page_that_writes_are_stopped_and_an_admin_allows_them(client, world):
    admin = log_in(client, "admin")
    assert "Stop all writes now" in client.get("/runs/").content.decode()
    client.post("/writes/stop/", {"reason": HOSTILE, "back": "/runs/"})

    for name, (_, method) in PAGES.items():
        if method == "get" and name not in ("dashboard_status", "run_progress", "import_progress", "mailbox_view_count"):
            answer = client.get(address(name), follow=True)
            assert answer.status_code == 200, name
            if "Content-Disposition" in answer.headers:  # a file, not a page
                continue
            page = answer.content.decode()
            assert f"All writes are stopped by {admin.username}: &lt;script" in page and "<script>alert" not in page, name
    client.force_login(User.objects.create_user("v", is_staff=True))
    User.objects.get(username="v").groups.add(Group.objects.get(name="viewer"))
    assert "All writes are stopped" in client.get("/").content.decode()
    assert "Allow writes again" not in client.get("/").content.decode()
    client.force_login(admin)
    client.post("/writes/allow/")
    assert "All writes are stopped" not in client.get("/").content.decode()


def test_a_decision_while_writes_are_stopped_is_told_as_a_message(client, world):
    log_in(client, "admin")
    world.organisation("Fresh")
    run = world.run()
    client.post("/writes/stop/", {"reason": "wrong prices"})

    for where in (address("duplicate_decide"), f"/runs/{run.pk}/undo/"):
        answer = client.post(where, {"decision": "different", "reason": "x", "back": "/duplicates/"}, follow=True)
        assert "wrong prices. Nothing was written." in answer.content.decode(), where


def test_csv_cells_are_no_formulas(client, world):
    log_in(client, "viewer")
    RunEvent.objects.update(name="=cmd|' /C calc'!A0")

    text = b"".join(client.get(address("run_export")).streaming_content).decode()

    assert "'=cmd" in text and ",=cmd" not in text


def test_pages_with_nothing_say_what_to_do(client):
    log_in(client, "admin")

    assert "Nothing is connected yet" in client.get("/").content.decode()
    for name in (
        "run_list",
        "duplicate_list",
        "error_list",
        "import_list",
        "import_new",
        "owner_list",
        "mapping_list",
        "connection_list",
        "journal",
        "schedule",
        "record_list",
        "tombstone_list",
        "difference_list",
        "coverage",
        "unresolved_list",
        "made_person_list",
        "blocklist",
        "own_domain_list",
    ):
        assert 'class="empty"' in client.get(reverse(f"admin:{name}")).content.decode(), name


def test_s0_28_the_account_opens_from_the_pages_of_its_organisation(client, world):
    log_in(client, "viewer")
    world.organisation("Clickable")
    world.run()
    event = RunEvent.objects.get(outcome="created")
    url = f"http://127.0.0.1:8900/browse/outreach/accounts/{event.peer_ref.rsplit(':', 1)[1]}"

    for address_ in (f"/events/{event.pk}/", f"/why/?q={event.crm_ref}", "/journal/"):
        assert f'href="{url}"' in client.get(address_, follow=True).content.decode(), address_


def test_retry_all_takes_what_the_filter_shows(client, world, monkeypatch):
    log_in(client, "operator")
    for n, reason in enumerate(["refused", "refused", "account_gone"]):
        Case.objects.create(
            sync_pass=world.sync_pass, kind="error", crm_id=f"9{n}", reason=reason, sentence="x", opened_at=world.clock.at, name_key=f"n{n}"
        )
    asked = []
    monkeypatch.setattr("reconciliation.jobs.ask_for", lambda task, *arguments: asked.append((task, arguments)))

    page = client.get("/errors/?reason=account_gone&state=open").content.decode()
    client.post("/errors/retry/", {"all": "1", "filter": "reason=refused&name=N"})

    assert "Retry all 1 open with this filter" in page
    assert len(asked[0][1][0]) == 2


def test_a_person_with_a_role_may_log_in_and_the_change_is_recorded(client, world):
    from reconciliation.models import AuditEntry

    client.force_login(User.objects.create_superuser("root"))
    user = User.objects.create_user("ivy", password="x")
    group = Group.objects.get(name="viewer")
    values = {"username": "ivy", "groups": [group.pk], "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}

    answer = client.post(f"/auth/user/{user.pk}/change/", values)

    user.refresh_from_db()
    assert answer.status_code == 302 and user.is_staff
    assert AuditEntry.objects.get().detail["roles"] == ["viewer"]
    assert "viewer" in client.get("/auth/user/").content.decode()


def test_missing_and_forbidden_pages_lead_on(client, world):
    log_in(client, "viewer")

    missing, forbidden = client.get("/nosuch/"), client.get("/schedule/")

    assert (missing.status_code, forbidden.status_code) == (404, 403)
    for answer in (missing, forbidden):
        assert "Go to the dashboard" in answer.content.decode() and "Duplicates" in answer.content.decode()


@pytest.mark.parametrize(
    ("q", "leads_to"),
    [
        ("{organisation}", "/records/workbooks/organisation/{organisation}/"),
        ("clickab", "/records/workbooks/organisation/{organisation}/"),
        ("outreach:account:{account}", "/records/workbooks/organisation/{organisation}/"),
        ("workbooks:person:1", "/records/workbooks/person/1/"),
        ("outreach:account:999", "/records/outreach/account/999/"),
    ],
)
def test_why_leads_to_the_page_of_the_record_that_is_meant(client, world, q, leads_to):
    log_in(client, "viewer")
    world.organisation("Clickable")
    world.run()
    event = RunEvent.objects.get(outcome="created")
    ids = {"organisation": event.crm_ref.rsplit(":", 1)[1], "account": event.peer_ref.rsplit(":", 1)[1]}

    answer = client.get("/why/", {"q": q.format(**ids)}, follow=True)

    assert answer.status_code == 200
    assert answer.redirect_chain[-1][0] == leads_to.format(**ids)


@pytest.mark.parametrize("q", ["a:b:c", "²", "Clicka", f"Nobody {HOSTILE}"])
def test_why_leads_to_the_search_when_no_one_record_is_meant(client, world, q):
    log_in(client, "viewer")
    for name in ("Clickable", "Clickatoo"):
        world.organisation(name)
    world.run()

    answer = client.get("/why/", {"q": q}, follow=True)

    assert answer.redirect_chain[-1][0].startswith("/records/?q=")
    page = answer.content.decode()
    assert "names no one record that is known" in page and "<script>alert" not in page
    assert ("Clickatoo" in page) is (q == "Clicka")


def test_numbers_that_are_none_are_no_server_errors(client, world):
    log_in(client, "admin")
    run = RunEvent.objects.first().run_id

    assert client.post("/errors/retry/", {"case": "²"}).status_code == 302
    assert client.get(f"/runs/{run}/undo/?operation=²").status_code == 200
    case = Case.objects.get(kind="duplicate")
    assert client.post(f"/duplicates/{case.pk}/decide/", {"decision": "later", "assign_to": "²"}).status_code == 302
    assert client.get("/runs/?since=notadate").status_code == 200
