"""Tables of two-way passes: direction, winner, blanks per direction, value map and placeholders, edited and kept (S3.8 to S3.11)."""

import pytest
from django.contrib.auth.models import Group, User
from django.template.loader import render_to_string

from reconciliation.models import FieldRule, MappingVersion, RecordType
from reconciliation.services.mapping_versions import version_restore
from reconciliation.services.mappings import Impact, MappingRefused, lint_table, pass_of, value_map_of
from reconciliation.services.schemas import schemas_read
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


@pytest.fixture
def known(box):
    """The field lists of both systems, as their connectors read them."""
    for connection in (box.sync_pass.crm, box.sync_pass.peer):
        connector = box.wiring.open_connector(connection)
        schemas_read(connection, connector)
        connector.close()


@pytest.fixture
def admin(client):
    user = User.objects.create_user("admin", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user)
    return user


def form(table, **changed):
    """Returns the form of the table as it stands, with what is changed, by peer field: {"title": {"direction": …}}."""
    values = {"version": str(table.version), "on_first_link": table.on_first_link}
    for rule in table.rules.all():
        row = {n: getattr(rule, n) for n in ("crm_field", "peer_field", "transform", "direction", "survivorship")}
        row |= {n: "1" for n in ("is_enabled", "blank_to_peer", "blank_to_crm") if getattr(rule, n)}
        row |= {"default_in_crm": rule.default_in_crm, "default_in_peer": rule.default_in_peer, **changed.get(rule.peer_field, {})}
        values |= {f"{rule.pk}-{name}": value for name, value in row.items()}
    return values


def test_s3_8_s3_9_s3_10_s3_11_how_a_field_is_decided_is_set_on_its_row_and_the_pass_keeps_to_it(box, client, admin):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", Phone="+44 1")
    table = RecordType.objects.get(crm_object="Contact").mapping
    changed = {"title": {"direction": "to_peer"}, "workPhones": {"blank_to_crm": "1"}, "firstName": {"survivorship": "crm"}}

    answer = client.post(f"/mappings/{table.pk}/", form(table, **changed), follow=True)

    assert b"Saved as version" in answer.content
    rules = {r.peer_field: r for r in FieldRule.objects.filter(table=table)}
    assert (rules["title"].direction, rules["workPhones"].blank_to_crm, rules["firstName"].survivorship) == ("to_peer", True, "crm")
    box.edit_peer(id_, title="Outreach's own", workPhones=[])
    box.run()
    assert box.crm("Contact", contact)["Title"] == "Buyer" and not box.crm("Contact", contact)["Phone"]
    page = client.get(f"/mappings/{table.pk}/").content.decode()
    assert "Most restrictive wins" in page and "Salesforce field" in page and "Only when forced" in page


def test_a_value_map_is_entered_line_by_line_and_works_both_ways(box, client, admin):
    table = RecordType.objects.get(crm_object="Contact").mapping
    values = form(table, title={"transform": "value map", "value_map": "Buyer = Einkauf\nChief = Leitung\n"})
    assert b"Saved as version" in client.post(f"/mappings/{table.pk}/", values, follow=True).content

    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer")

    assert box.peer(id_)["title"] == "Einkauf"
    box.edit_peer(id_, title="Leitung")
    box.run()
    assert box.crm("Contact", contact)["Title"] == "Chief"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"transform": "integer"}, b"has no way back"),
        ({"transform": "value map", "value_map": "Buyer - Einkauf"}, b"is not"),
        ({"transform": "value map", "value_map": ""}, b"needs lines"),
        ({"transform": "value map", "value_map": "A = x\nA = y"}, b"twice"),
        ({"direction": "sideways"}, b"no direction called"),
        ({"survivorship": "loudest"}, b"no winner called"),
        ({"survivorship": "restrictive"}, b"is for yes and no"),
        ({"survivorship": "restrictive", "transform": "value map", "value_map": "A = yes"}, b"needs the conversion"),
        ({"crm_field": "FirstName"}, b"Two rows write FirstName of Salesforce"),
        ({"crm_field": "CreatedDate"}, b"is read-only in Salesforce"),
        ({"crm_field": "Account.Name"}, b"is read-only in Salesforce"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_saved(box, known, client, admin, changed, said):
    table = RecordType.objects.get(crm_object="Contact").mapping

    answer = client.post(f"/mappings/{table.pk}/", form(table, title=changed), follow=True)

    assert said in answer.content and b"Nothing was saved" in answer.content
    assert FieldRule.objects.get(table=table, peer_field="title").transform == "same"


def test_versions_keep_value_maps_and_placeholders_and_bring_them_back(box, client, admin):
    table = RecordType.objects.get(crm_object="Lead").mapping
    MappingVersion.keep(table, None, "as shipped")
    client.post(f"/mappings/{table.pk}/", form(table, company={"default_in_crm": "Unknown"}), follow=True)
    assert FieldRule.objects.get(table=table, peer_field="company").default_in_crm == "Unknown"

    table.refresh_from_db()
    version_restore(pass_of(table), MappingVersion.objects.earliest("pk"), admin, rests_on=table.version)

    assert FieldRule.objects.get(table=table, peer_field="company").default_in_crm == "[not provided]"


def test_the_lines_of_a_value_map():
    assert value_map_of(" A = x \n\nB=y=z") == [["A", "x"], ["B", "y=z"]]
    with pytest.raises(MappingRefused, match="Line 2"):
        value_map_of("A = x\nB")


def test_c32_a_lead_that_could_not_be_created_is_said_when_the_table_is_saved(box, known, client, admin):
    kind = RecordType.objects.get(crm_object="Lead")
    changed = form(kind.mapping, company={"direction": "to_peer"})
    RecordType.objects.filter(pk=kind.pk).update(outbound_create=False)
    assert b"Saved as version" in client.post(f"/mappings/{kind.mapping_id}/", changed, follow=True).content
    RecordType.objects.filter(pk=kind.pk).update(outbound_create=True)
    kind.mapping.refresh_from_db()

    answer = client.post(f"/mappings/{kind.mapping_id}/", {**changed, "version": str(kind.mapping.version)}, follow=True)

    assert b"Leads need Company: creation would be refused" in answer.content


def test_c31_what_speaks_against_a_table_as_it_stands_includes_direction_and_winner(box, known):
    table = RecordType.objects.get(crm_object="Contact").mapping
    assert lint_table(pass_of(table)) == []

    FieldRule.objects.filter(table=table, peer_field="title").update(survivorship="restrictive")

    assert ["yes and no" in problem for problem in lint_table(pass_of(table))][:1] == [True]


def test_a_version_shows_direction_and_winner_of_its_rows(box, client, admin):
    table = RecordType.objects.get(crm_object="Contact").mapping
    kept = MappingVersion.keep(table, None, "as shipped")

    page = client.get(f"/mappings/{table.pk}/versions/{kept.version}/").content.decode()

    assert ">both<" in page and ">restrictive<" in page


def test_the_preview_of_a_two_way_table_says_what_it_leaves_out():
    shown = Impact(1, 1, "1", {}, [], "salesforce", "Contact", "Salesforce", "Outreach", is_two_way=True)

    assert "into Salesforce is not worked out" in render_to_string("admin/reconciliation/includes/impact.html", {"impact": shown})
