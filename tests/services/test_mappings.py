"""Changes of a mapping: what they would do is shown first, and they reach records that did not change."""

import pytest

from reconciliation.models import FieldRule
from reconciliation.services.mappings import MappingRefused, RowChange, impact_of, mapping_save
from tests.admin.test_pages import log_in
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    box = make()
    for name in ("Acme", "Brook"):
        box.organisation(name, industry="Food", organisation_category="Gold" if name == "Acme" else "")
    box.run()
    return box


def rows_of(box):
    return {
        r.pk: RowChange(r.crm_field, r.peer_field, r.transform, r.is_enabled, r.blank_to_peer) for r in box.sync_pass.mapping.rules.all()
    }


def test_the_impact_of_a_new_row_is_counted_from_both_sides_and_nothing_is_written(box):
    before = box.accounts()

    shown = impact_of(box.sync_pass, rows_of(box), RowChange("organisation_category", "companyType", "text"), wiring=box.wiring)

    assert (shown.looked_at, shown.changed, shown.by_field, shown.is_complete) == (2, 1, {"companyType": 1}, True)
    assert [(e.name, e.field, e.before, e.after) for e in shown.examples] == [("Acme", "companyType", None, "Gold")]
    assert box.accounts() == before
    assert FieldRule.objects.filter(peer_field="companyType").count() == 0


def test_a_row_that_changes_nothing_has_no_impact(box):
    assert impact_of(box.sync_pass, rows_of(box), None, wiring=box.wiring).changed == 0


def test_a_new_row_reaches_unchanged_records_with_a_full_run_and_is_not_sent_again(box):
    mapping_save(box.sync_pass, rows_of(box), RowChange("organisation_category", "companyType", "text"))
    box.sync_pass.refresh_from_db()

    run = box.run(is_full=True)

    assert run.updated == 1
    assert box.accounts("Acme")[0]["companyType"] == "Gold"
    box.calls()
    assert box.run(is_full=True).updated == 0


def test_a_field_that_moves_to_another_one_is_sent_there(box):
    rows = rows_of(box)
    pk = next(pk for pk, row in rows.items() if row.peer_field == "industry")
    rows[pk] = RowChange("industry", "companyType", "text")

    mapping_save(box.sync_pass, rows, None)
    box.sync_pass.refresh_from_db()
    box.run(is_full=True)

    assert {a["companyType"] for a in box.accounts()} == {"Food"}


def test_a_changed_conversion_leaves_what_users_typed_under_the_other_rows(box):
    account = box.accounts("Acme")[0]
    box.world.outreach.update_record("accounts", account["id"], {"industry": "typed in Outreach"})

    mapping_save(box.sync_pass, rows_of(box), RowChange("organisation_category", "companyType", "text"))
    box.sync_pass.refresh_from_db()
    box.run(is_full=True)

    assert box.accounts("Acme")[0]["industry"] == "typed in Outreach"


def test_two_rows_may_swap_their_fields(box):
    rows = rows_of(box)
    a = next(pk for pk, row in rows.items() if row.peer_field == "industry")
    b = next(pk for pk, row in rows.items() if row.peer_field == "locality")
    rows[a], rows[b] = RowChange(rows[a].crm_field, "locality", "text"), RowChange(rows[b].crm_field, "industry", "text")

    mapping_save(box.sync_pass, rows, None)

    assert [FieldRule.objects.get(pk=pk).peer_field for pk in (a, b)] == ["locality", "industry"]


def test_a_field_mapped_twice_and_an_unknown_choice_are_refused(box):
    with pytest.raises(MappingRefused, match="mapped twice"):
        mapping_save(box.sync_pass, rows_of(box), RowChange("description", "industry", "text"))
    with pytest.raises(MappingRefused, match="On first link"):
        mapping_save(box.sync_pass, rows_of(box), None, "whatever")


def with_schemas(box):
    from reconciliation.services.connections import connection_test

    for connection in (box.sync_pass.crm, box.sync_pass.peer):
        connection_test(connection, wiring=box.wiring)
        connection.refresh_from_db()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (RowChange("description", "foundedAt", "integer"), "foundedAt takes an instant, and this row would send a whole number"),
        (RowChange("description", "foundedAt", "same"), "choose the conversion “date as instant”"),
        (RowChange("industry", "numberOfEmployees", "text"), "choose the conversion “integer”"),
        (RowChange("industry", "customId", "text"), "holds our own key"),
        (RowChange("industry", "updatedAt", "same"), "has no field"),
        (RowChange("nowhere", "custom7", "same"), "has no field 'nowhere'"),
    ],
)
def test_rows_that_cannot_work_are_refused_with_the_reason(box, row, said):
    with_schemas(box)

    with pytest.raises(MappingRefused, match=said):
        mapping_save(box.sync_pass, rows_of(box), row)
    assert not FieldRule.objects.filter(peer_field=row.peer_field, is_standard=False).exists()


def test_a_required_field_keeps_its_row(box):
    rows = rows_of(box)
    name = FieldRule.objects.get(peer_field="name").pk
    rows[name] = RowChange("name", "name", "text", is_enabled=False)

    with pytest.raises(MappingRefused, match="name must be filled in Outreach"):
        mapping_save(box.sync_pass, rows, None)


def test_a_custom_row_can_be_removed_and_a_standard_one_cannot(box):
    mapping_save(box.sync_pass, rows_of(box), RowChange("organisation_category", "companyType", "text"))
    custom, standard = FieldRule.objects.get(peer_field="companyType"), FieldRule.objects.get(peer_field="industry")
    rows = rows_of(box)
    rows[custom.pk] = RowChange("organisation_category", "companyType", "text", is_removed=True)
    rows[standard.pk] = RowChange("industry", "industry", "text", is_removed=True)

    mapping_save(box.sync_pass, rows, None)

    assert not FieldRule.objects.filter(pk=custom.pk).exists()
    assert FieldRule.objects.filter(pk=standard.pk).exists()


def test_a_version_that_somebody_else_saved_meanwhile_is_not_overwritten(box):
    mapping_save(box.sync_pass, {}, None, "leave")

    with pytest.raises(MappingRefused, match="Somebody saved version 2 while you were editing version 1"):
        mapping_save(box.sync_pass, {}, None, "crm", rests_on=1)


@pytest.mark.parametrize("version", [{}, {"version": ""}, {"version": "²"}, {"version": "-1"}])
def test_a_form_that_does_not_say_which_version_it_was_made_from_overwrites_nothing(client, box, version):
    log_in(client, "admin")
    table = box.sync_pass.mapping
    before = list(table.rules.order_by("pk").values())

    page = client.post(f"/mappings/{table.pk}/", {"on_first_link": "leave", **version}).content.decode()

    assert "Nothing was saved. Somebody saved version 1 while you were editing another." in page
    assert list(table.rules.order_by("pk").values()) == before
