"""Versions of a mapping table: kept whole, compared in words, and the way back to one."""

import pytest
from django.contrib.auth.models import User

from reconciliation.core.mapping_versions import rows_diff
from reconciliation.models import AuditEntry, FieldRule, MappingVersion, Operation
from reconciliation.services.mapping_versions import proposal_of, version_restore
from reconciliation.services.mappings import MappingRefused, RowChange, impact_of, mapping_save
from tests.admin.test_pages import log_in
from tests.sandboxed import make
from tests.services.test_mappings import rows_of, with_schemas

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
GOLD = RowChange("organisation_category", "companyType", "text")


@pytest.fixture
def box():
    box = make()
    box.organisation("Acme", industry="Food", organisation_category="Gold")
    box.run()
    return box


def kept(version):
    return MappingVersion.objects.get(version=version)


def restore(box, version, **options):
    box.sync_pass.mapping.refresh_from_db()
    return version_restore(box.sync_pass, kept(version), None, rests_on=box.sync_pass.mapping.version, **options)


def what(rows):
    return [{k: v for k, v in row.items() if k != "id"} for row in rows]


def test_every_save_keeps_the_whole_table_with_who_when_and_why(box):
    olga = User.objects.create(username="olga")

    mapping_save(box.sync_pass, rows_of(box), GOLD, "leave", olga, reason="Sales asked for it.")

    first, second = kept(1), kept(2)
    assert (first.reason, first.on_first_link, len(first.rows)) == ("The standard fields.", "fill_blanks", 7)
    assert (second.saved_by, second.saved_by_name, second.reason, second.on_first_link) == (olga, "olga", "Sales asked for it.", "leave")
    assert [r["peer_field"] for r in second.rows] == [r["peer_field"] for r in first.rows] + ["companyType"]
    assert AuditEntry.objects.get().detail["reason"] == "Sales asked for it."


def test_a_refused_save_keeps_no_version(box):
    with pytest.raises(MappingRefused):
        mapping_save(box.sync_pass, rows_of(box), RowChange("description", "industry", "text"))

    assert MappingVersion.objects.count() == 1


def test_two_versions_differ_row_by_row_and_field_by_field(box):
    rows = rows_of(box)
    pk = next(pk for pk, row in rows.items() if row.peer_field == "industry")
    rows[pk] = RowChange("industry", "companyType", "text", blank_to_peer=True)
    mapping_save(box.sync_pass, rows, RowChange("description", "custom1", "text"))

    changed = [line for line in rows_diff(kept(1).rows, kept(2).rows) if line.kind != "same"]

    assert [line.sentence for line in changed] == [
        "industry → industry: peer field industry → companyType, blank overrides in peer no → yes",
        "added description → custom1",
    ]
    assert [line.kind for line in rows_diff(kept(2).rows, kept(1).rows) if line.kind != "same"] == ["changed", "removed"]


def test_the_way_back_stores_those_rows_as_a_new_version(box):
    rows = rows_of(box)
    pk = next(pk for pk, row in rows.items() if row.peer_field == "industry")
    rows[pk] = RowChange("industry", "industry", "text", is_enabled=False)
    mapping_save(box.sync_pass, rows, GOLD, "leave")
    rows = rows_of(box)
    rows[FieldRule.objects.get(peer_field="companyType").pk] = RowChange(**{**vars_of(GOLD), "is_removed": True})
    mapping_save(box.sync_pass, rows, None, "crm")

    assert restore(box, 2, reason="It was right.") == 4

    assert what(kept(4).rows) == what(kept(2).rows)
    assert (kept(4).on_first_link, kept(4).reason) == ("leave", "Back to version 2. It was right.")
    assert restore(box, 1) == 5
    assert what(kept(5).rows) == what(kept(1).rows)


def vars_of(change):
    return {name: getattr(change, name) for name in change.__slots__}


def test_the_way_back_shows_first_what_it_would_write(box):
    mapping_save(box.sync_pass, rows_of(box), GOLD)
    box.sync_pass.refresh_from_db()
    box.run(is_full=True)
    rows = rows_of(box)
    rows[FieldRule.objects.get(peer_field="companyType").pk] = RowChange("industry", "companyType", "text")
    mapping_save(box.sync_pass, rows, None)
    box.sync_pass.mapping.refresh_from_db()
    box.edit(1, organisation_category="Silver")

    proposal = proposal_of(box.sync_pass.mapping, kept(2).rows, kept(2).on_first_link)
    shown = impact_of(box.sync_pass, proposal.changes, proposal.added, wiring=box.wiring)

    assert not proposal.is_empty and shown.by_field == {"companyType": 1}
    assert box.sync_pass.mapping.version == 3


def test_the_way_back_is_refused_when_somebody_saved_meanwhile(box):
    mapping_save(box.sync_pass, rows_of(box), GOLD)
    mapping_save(box.sync_pass, {}, None, "crm")

    with pytest.raises(MappingRefused, match="Somebody saved version 3 while you were editing version 2"):
        version_restore(box.sync_pass, kept(1), None, rests_on=2)
    assert MappingVersion.objects.count() == 3


def test_the_way_back_to_rows_that_cannot_work_any_more_is_refused(box):
    mapping_save(box.sync_pass, rows_of(box), RowChange("description", "nosuchfield", "text"))
    rows = rows_of(box)
    rows[FieldRule.objects.get(peer_field="nosuchfield").pk] = RowChange("description", "nosuchfield", "text", is_removed=True)
    mapping_save(box.sync_pass, rows, None)
    with_schemas(box)
    box.sync_pass.refresh_from_db()

    with pytest.raises(MappingRefused, match="has no field 'nosuchfield'"):
        restore(box, 2)


def test_a_standard_row_that_a_version_lacks_is_switched_off_and_said(box):
    rows = [row for row in kept(1).rows if row["peer_field"] != "locality"]

    proposal = proposal_of(box.sync_pass.mapping, rows, "fill_blanks")

    assert proposal.disabled == ["main_location[town] → locality"]
    assert [line.sentence for line in proposal.diff if line.kind != "same"] == ["main_location[town] → locality: enabled yes → no"]


def test_the_pages_lead_from_a_write_to_the_version_it_was_made_under_and_back_to_it(client, box, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    log_in(client, "admin")
    mapping_save(box.sync_pass, rows_of(box), GOLD, reason="<b>Sales</b>")
    table = box.sync_pass.mapping_id
    operation = Operation.objects.get(kind="create")

    assert f'href="/mappings/{table}/versions/1/"' in client.get(f"/journal/{operation.pk}/").content.decode()
    listed = client.get(f"/mappings/{table}/versions/").content.decode()
    assert "&lt;b&gt;Sales&lt;/b&gt;" in listed and "in use" in listed
    diff = client.get(f"/mappings/{table}/versions/2/").content.decode()
    assert "organisation_category → companyType" in diff and "added" in diff
    assert "were not kept" in client.get(f"/mappings/{table}/versions/99/").content.decode()

    before = client.get(f"/mappings/{table}/versions/1/restore/").content.decode()
    assert "removed" in before and 'name="version" value="2"' in before and "linked organisation" in before
    stale = client.post(f"/mappings/{table}/versions/1/restore/", {"version": "1"}, follow=True)
    assert "Nothing was saved" in stale.content.decode() and MappingVersion.objects.count() == 2
    done = client.post(f"/mappings/{table}/versions/1/restore/", {"version": "2", "reason": "oops"}, follow=True)
    assert "Saved as version 3, with the rows of version 1" in done.content.decode()
    assert (kept(3).saved_by_name, kept(3).reason) == ("a-admin", "Back to version 1. oops")
