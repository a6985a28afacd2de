"""Record types and the dedupe policy travel in a settings file like everything else that an admin has set."""

import json

import pytest

from reconciliation.models import AuditEntry, Policy, RecordType
from reconciliation.services.policy import dedupe_policy, policy_set
from reconciliation.services.record_types import SWITCHES, order_set, type_set
from reconciliation.services.transfer import TransferRefused, checksum, export_text, import_plan, settings_import
from tests.paired import paired

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LEADS_ONLY_OPEN = [["Status", "is", "Open"]]


@pytest.fixture
def box():
    return paired()


@pytest.fixture
def tried_out(box, admin_user):
    """The file of a site with Leads first, on fewer terms, and the other policy; this site is as it was before."""
    contact, lead = RecordType.objects.order_by("order")
    standard = {name: getattr(lead, name) for name in SWITCHES}
    order_set(box.sync_pass, [lead.pk, contact.pk], admin_user)
    type_set(lead, {**standard, "inbound_create": False}, LEADS_ONLY_OPEN, admin_user)
    policy_set(Policy.SameEmail.CHOOSE, dedupe_policy().choice, admin_user)
    text = export_text()
    order_set(box.sync_pass, [contact.pk, lead.pk], admin_user)
    type_set(RecordType.objects.get(pk=lead.pk), standard, [], admin_user)
    policy_set(Policy.SameEmail.PREVENT, Policy.SameEmail.CHOOSE, admin_user)
    return text


def edited(text, edit):
    document = json.loads(text)
    edit(document["content"])
    document["checksum"] = checksum(document["content"])
    return json.dumps(document)


def test_a_file_shows_and_carries_over_order_switches_conditions_and_policy(box, tried_out, admin_user):
    plan = import_plan(tried_out, admin_user)

    shown = {part.title: [(line.name, line.before, line.after) for line in part.lines] for part in plan.changed}
    assert shown == {
        f"Pass {box.sync_pass.title}": [
            ("order of record types", "Contact, Lead", "Lead, Contact"),
            ("Lead: inbound create", True, False),
            ("Lead: polling conditions", [], LEADS_ONLY_OPEN),
        ],
        "Dedupe policy": [("same e-mail address", Policy.SameEmail.PREVENT.label, Policy.SameEmail.CHOOSE.label)],
    }
    settings_import(tried_out, admin_user, stamp=plan.stamp)

    first, _ = RecordType.objects.order_by("order")
    assert (first.crm_object, first.inbound_create, first.conditions) == ("Lead", False, LEADS_ONLY_OPEN)
    assert dedupe_policy().choice == Policy.SameEmail.CHOOSE and not import_plan(tried_out, admin_user).changed
    assert AuditEntry.objects.filter(action="import settings").exists()


def test_a_file_from_before_there_were_record_types_changes_none(box, tried_out, admin_user):
    def strip(content):
        del content["policy"]
        for one in content["passes"]:
            del one["record_types"]

    assert not import_plan(edited(tried_out, strip), admin_user).changed


def test_a_type_that_is_not_here_is_left_out_with_a_line_and_nonsense_is_refused(box, tried_out, admin_user):
    def rename(content):
        content["passes"][0]["record_types"][0]["crm_object"] = "Opportunity"

    plan = import_plan(edited(tried_out, rename), admin_user)
    assert any("Opportunity" in line and "not on this site" in line for line in plan.left_out)

    def break_condition(content):
        content["passes"][0]["record_types"][0]["conditions"] = [["Status", "resembles", "x"]]

    broken = edited(tried_out, break_condition)
    with pytest.raises(TransferRefused):
        settings_import(broken, admin_user, stamp=import_plan(broken, admin_user).stamp)
    assert not RecordType.objects.exclude(conditions=[]).exists()
