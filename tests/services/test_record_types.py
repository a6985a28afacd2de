"""Record types: the order that decides (S2.12), switches and conditions, each with its trace."""

import pytest
from django.contrib.auth.models import Group, User

from reconciliation.core.conditions import as_condition, checked, holds
from reconciliation.models import AuditEntry, Connection, RecordType
from reconciliation.services.record_types import RecordTypesRefused, move, order_set, record_types, type_set
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


@pytest.fixture
def admin(client):
    user = User.objects.create_user("admin", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user)
    return user


def names():
    return list(RecordType.objects.order_by("order").values_list("crm_object", flat=True))


def test_s2_12_staff_flip_the_order_and_the_other_type_wins(box, client, admin):
    RecordType.objects.update(inbound_create=False)
    lead, contact = box.lead("Diaz", "cleo@acme.example"), box.contact("Diaz", "cleo@acme.example")
    box.run()
    first = RecordType.objects.get(crm_object="Lead")
    client.post(f"/record-types/{box.sync_pass.pk}/order/", {"type": first.pk, "move": "up"})
    assert names() == ["Lead", "Contact"]
    id_ = box.prospect("Diaz", "cleo@acme.example")

    box.run()

    assert box.binding(id_).crm_id == lead != contact
    entry = AuditEntry.objects.get(action="order record types")
    assert entry.detail == {"before": ["Contact", "Lead"], "after": ["Lead", "Contact"]}


def test_a_whole_order_is_saved_and_one_that_is_not_the_list_is_refused(box, client, admin):
    keys = [row.pk for row in record_types()[0][1]]
    client.post(f"/record-types/{box.sync_pass.pk}/order/", {"order": [str(k) for k in reversed(keys)]})
    assert names() == ["Lead", "Contact"]
    with pytest.raises(RecordTypesRefused, match="changed meanwhile"):
        order_set(box.sync_pass, keys[:1], admin)
    answer = client.post(f"/record-types/{box.sync_pass.pk}/order/", {"order": ["1", "x"]}, follow=True)
    assert b"changed meanwhile" in answer.content and names() == ["Lead", "Contact"]


def test_the_first_stays_first_when_it_is_moved_up(box, admin):
    first = RecordType.objects.get(crm_object="Contact")

    assert not move(first, -1, admin) and names() == ["Contact", "Lead"]
    assert move(first, 1, admin) and names() == ["Lead", "Contact"]


def test_several_conditions_are_saved_at_once_and_too_many_are_refused_instead_of_cut(box, client, admin):
    client.force_login(admin)
    row = RecordType.objects.get(crm_object="Contact")

    def save(n):
        data = {"field": ["Title"] * n + [""], "test": ["is"] * (n + 1), "value": [*map(str, range(n)), ""]}
        return client.post(f"/record-types/{row.pk}/save/", {"is_on": "on", **data}, follow=True).content.decode()

    save(3)
    row.refresh_from_db()
    assert [value for _, _, value in row.conditions] == ["0", "1", "2"]
    assert "21 conditions are more than 20" in save(21)
    row.refresh_from_db()
    assert len(row.conditions) == 3


def test_switches_and_conditions_are_saved_with_a_trace(box, client, admin):
    row = RecordType.objects.get(crm_object="Contact")
    form = {"is_on": "on", "inbound_create": "on", "field": ["Title", ""], "test": ["is", "is blank"], "value": ["Buyer", ""]}

    client.post(f"/record-types/{row.pk}/save/", form)

    row.refresh_from_db()
    assert (row.inbound_create, row.inbound_update, row.outbound_update) == (True, False, False)
    assert row.conditions == [["Title", "is", "Buyer"]]
    assert AuditEntry.objects.get(action="change record type").detail["inbound_update"] == [True, False]


def test_a_condition_that_says_nothing_or_names_no_field_is_refused(box, admin):
    row = RecordType.objects.select_related("sync_pass__crm").get(crm_object="Contact")
    with pytest.raises(RecordTypesRefused, match="needs a value"):
        type_set(row, {}, [["Title", "is", ""]], admin)
    with pytest.raises(RecordTypesRefused, match="is no test"):
        type_set(row, {}, [["Title", "sounds like", "x"]], admin)
    Connection.objects.filter(system="salesforce").update(schema_cache={"Contact": {"Title": {}}})
    row = RecordType.objects.select_related("sync_pass__crm").get(pk=row.pk)
    with pytest.raises(RecordTypesRefused, match="has no field Tite"):
        type_set(row, {}, [["Tite", "is blank", ""]], admin)


@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        (("T", "is", "buyer"), {"T": "Buyer"}, True),
        (("T", "is not", "Buyer"), {"T": None}, True),
        (("T", "is blank", ""), {"T": "  "}, True),
        (("T", "is not blank", ""), {}, False),
        (("T", "is true", ""), {"T": True}, True),
        (("T", "is false", ""), {"T": None}, True),
        (("T", "is", "true"), {"T": True}, True),
    ],
)
def test_a_condition_holds_or_does_not(row, fields, expected):
    assert holds(checked([row]), fields) is expected


def test_what_a_system_can_be_asked_for_travels_with_the_request():
    asked = as_condition([("A", "is", "x"), ("B", "is not", "y"), ("C", "is blank", "")])

    assert [(t.field, t.op.value) for t in asked.parts] == [("A", "eq"), ("C", "blank")]


def test_an_operator_sees_the_page_and_changes_nothing(box, client):
    user = User.objects.create_user("op", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client.force_login(user)

    page = client.get("/record-types/").content.decode()

    assert "The first type of a list wins" in page and "Move Lead up" not in page
    row = RecordType.objects.first()
    assert client.post(f"/record-types/{row.pk}/save/", {}).status_code == 403
    assert client.post(f"/record-types/{box.sync_pass.pk}/order/", {"type": row.pk, "move": "up"}).status_code == 403
