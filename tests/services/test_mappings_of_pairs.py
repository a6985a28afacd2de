"""Mapping tables of two-way passes: each belongs to a record type, is checked against its own objects, and its impact is
told over its own records."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from reconciliation.models import Connection, FieldRule, MappingTable, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.mappings import MappingRefused, RowChange, check, impact_of, mapping_save, pass_of
from tests.sandboxed import make
from tests.scenarios.test_standard_tables import run

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    box = make(with_salesforce=True)
    for row in Connection.objects.all():
        connection_test(row, wiring=box.wiring)
    return box


def table(name):
    return MappingTable.objects.get(name=name)


def unchanged(rule, **changes):
    return RowChange(
        **{**{n: getattr(rule, n) for n in ("crm_field", "peer_field", "transform", "is_enabled", "blank_to_peer")}, **changes}
    )


def test_a_table_is_that_of_its_record_type(box):
    found = {row.name: pass_of(row) for row in MappingTable.objects.all()}

    assert {name: p.name for name, p in found.items()} == {
        "Organisations → Accounts": "organisations",
        "Contacts to mailboxes": "contacts",
        "E-mails to Salesforce": "emails",
        "Events and calendars": "events",
        "Tasks": "tasks",
        "Contacts to prospects": "prospects",
        "Leads to prospects": "prospects",
        "Salesforce accounts to Outreach accounts": "accounts",
        "Activities to tasks": "outreach-activities",  # without rows
    }
    assert (
        found["Leads to prospects"].mapping.crm_object == "Lead" and SyncPass.objects.get(name="prospects").mapping.crm_object == "Contact"
    )
    assert pass_of(MappingTable.objects.create(name="Nobody's", crm_object="x", peer_object="y")) is None


def test_a_row_of_leads_is_checked_against_leads_and_saved_with_them(box):
    leads = pass_of(table("Leads to prospects"))
    with pytest.raises(MappingRefused, match="Salesforce has no field 'MailingCity'"):
        check(leads, {}, RowChange("MailingCity", "region"))

    mapping_save(leads, {}, RowChange("LeadSource", "source"))

    assert FieldRule.objects.get(peer_field="source").table.name == "Leads to prospects"
    assert (table("Leads to prospects").version, table("Contacts to prospects").version) == (2, 1)


def test_statuses_may_be_mapped_to_stages_by_a_map_of_values(box):
    leads = pass_of(table("Leads to prospects"))
    stage = FieldRule.objects.get(table=leads.mapping, peer_field="stage")

    mapping_save(leads, {stage.pk: unchanged(stage, is_enabled=True)}, None)

    stage.refresh_from_db()
    assert stage.is_enabled and stage.transform == "value map"


def test_what_a_change_would_write_is_told_over_the_records_of_its_own_type(box):
    box.world.salesforce.create_record("Lead", {"LastName": "B", "Company": "C", "Email": "b@c.example", "LeadSource": "Web"})
    box.world.salesforce.create_record("Contact", {"LastName": "A", "Email": "a@c.example", "LeadSource": "Phone"})
    run(box)

    told = impact_of(pass_of(table("Leads to prospects")), {}, RowChange("LeadSource", "source"), wiring=box.wiring)

    assert (told.looked_at, told.changed, told.by_field, told.linked) == (1, 1, {"source": 1}, "1")
    assert (told.system, told.object_type) == ("salesforce", "Lead") and told.examples[0].after == "Web"


def test_the_editor_opens_for_every_table_and_names_its_crm(client, box, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    box.world.salesforce.create_record("Lead", {"LastName": "B", "Company": "C", "Email": "b@c.example", "LeadSource": "Web"})
    run(box)
    call_command("migrate", verbosity=0)
    ada = User.objects.create_user("ada", is_staff=True)
    ada.groups.add(Group.objects.get(name="admin"))
    client.force_login(ada)

    for row in MappingTable.objects.exclude(peer_object__in=("activity", "mail")):  # these have nothing to map
        page = client.get(f"/mappings/{row.pk}/").content.decode()
        crm = "Workbooks" if row.crm_object == "organisation" else "Salesforce"
        assert f"<th>{crm} field</th>" in page, row
    leads = table("Leads to prospects")
    given = {"what": "impact", "new-crm_field": "LeadSource", "new-peer_field": "source", "new-transform": "same", "new-is_enabled": "1"}
    for rule in leads.rules.all():
        given |= {f"{rule.pk}-{n}": getattr(rule, n) for n in ("crm_field", "peer_field", "transform")}
        given |= {f"{rule.pk}-is_enabled": "1"} if rule.is_enabled else {}
    page = client.post(f"/mappings/{leads.pk}/", given).content.decode()
    assert "of the 1 linked lead" in page and "/records/salesforce/Lead/" in page
    assert client.get(f"/mappings/{MappingTable.objects.create(name='x', crm_object='x', peer_object='y').pk}/").status_code == 404
