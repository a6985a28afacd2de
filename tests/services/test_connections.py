"""Connections: secrets go in and never come out; addresses are checked; a test says what is missing."""

from dataclasses import replace

import pytest
from django.core import serializers
from django.db import connection as database

from reconciliation.models import Connection
from reconciliation.services.connections import ConnectionChange, ConnectionRefused, connection_save, connection_test
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


def change(row, **values):
    start = ConnectionChange(row.name, row.base_url, row.page_address_template, row.settle_seconds, {})
    return replace(start, **values)


def real(row):
    Connection.objects.filter(pk=row.pk).update(is_sandbox=False)
    row.refresh_from_db()
    return row


def test_a_blank_secret_keeps_its_value_and_a_new_one_replaces_it(box):
    row = Connection.objects.get(system="workbooks")
    before = row.secrets["api_key"]
    connection_save(row, change(row))
    row.refresh_from_db()
    assert row.secrets["api_key"] == before

    connection_save(row, change(row, secrets={"api_key": "a-new-key"}))

    row.refresh_from_db()
    assert row.secrets["api_key"] == "a-new-key"


def test_secrets_are_encrypted_at_rest_and_not_in_dumps(box):
    row = Connection.objects.get(system="workbooks")
    with database.cursor() as cursor:
        cursor.execute("SELECT secrets FROM reconciliation_connection WHERE id = %s", [row.pk])
        stored = cursor.fetchone()[0]

    assert row.secrets["api_key"] not in stored
    assert row.secrets["api_key"] not in serializers.serialize("json", [row])


def test_no_page_shows_a_secret(box, client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("root"))
    secrets = [v for row in Connection.objects.all() for v in row.secrets.values() if len(v) > 8]

    assert len(secrets) >= 4
    for row in Connection.objects.all():
        answer = client.get(f"/connections/{row.pk}/")
        assert answer.status_code == 200 and row.base_url in answer.content.decode()
        assert not any(secret in answer.content.decode() for secret in secrets)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"base_url": "http://api.outreach.io"}, "plain http"),
        ({"base_url": "https://10.1.2.3"}, "private address"),
        ({"base_url": "javascript:alert(1)"}, "is not a web address"),
        ({"page_address_template": "https://web.example/accounts/"}, "{id}"),
        ({"page_address_template": "javascript:alert({id})"}, "is not a web address"),
        ({"settle_seconds": -1}, "seconds"),
        ({"name": "  "}, "name"),
    ],
)
def test_values_a_connection_must_not_have_are_refused(box, bad, said):
    row = Connection.objects.get(system="outreach")
    before = Connection.objects.values().get(pk=row.pk)

    with pytest.raises(ConnectionRefused) as caught:
        connection_save(row, change(row, **bad))

    assert said in str(caught.value)
    assert Connection.objects.values().get(pk=row.pk) == before


def test_a_test_reads_what_is_needed_and_keeps_the_field_lists(box):
    row = Connection.objects.get(system="workbooks")

    lines = connection_test(row, wiring=box.wiring)

    row.refresh_from_db()
    assert all(line.is_ok for line in lines) and row.state == "ok"
    assert row.schema_cache["organisation"]["industry"]["title"] == "Industry"


def test_a_test_with_a_wrong_key_says_what_to_do(box):
    row = Connection.objects.get(system="workbooks")
    connection_save(row, change(row, secrets={"api_key": "wrong-key"}))
    row.refresh_from_db()

    lines = connection_test(row, wiring=box.wiring)

    row.refresh_from_db()
    assert not lines[0].is_ok and "refused our key" in lines[0].sentence and "Enter a new API key" in lines[0].remedy
    assert row.state == "needs_attention" and "wrong-key" not in row.last_error


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://evil.example", "is reached at"),
        ("https://outreach.io.evil.example", "is reached at"),
        ("https://user:pw@api.outreach.io", "must not hold a user name or password"),
        ("https://[", "is not a web address"),
        ("https://api.outreach.io", "enter client id, client secret anew"),
    ],
)
def test_secrets_never_go_to_a_host_they_were_not_given_for(box, address, said):
    row = real(Connection.objects.get(system="outreach"))
    before = (row.secrets, row.base_url)

    with pytest.raises(ConnectionRefused, match=said):
        connection_save(row, change(row, base_url=address))

    row.refresh_from_db()
    assert (row.secrets, row.base_url) == before


def test_another_host_takes_secrets_given_with_it(box, settings):
    settings.SYSTEM_HOSTS = {"outreach": ["*.outreach.io"], "workbooks": ["crm.example.com"]}
    row = real(Connection.objects.get(system="workbooks"))

    connection_save(row, change(row, base_url="https://crm.example.com/", secrets={"api_key": "given-for-it"}))

    row.refresh_from_db()
    assert (row.base_url, row.secrets["api_key"], row.state) == ("https://crm.example.com", "given-for-it", "untested")


@pytest.mark.parametrize("template", ["http://127.0.0.1.evil.example/{id}", "https://u:p@web.example/{id}"])
def test_page_addresses_are_checked_like_addresses(box, template):
    row = Connection.objects.get(system="outreach")

    with pytest.raises(ConnectionRefused):
        connection_save(row, change(row, page_address_template=template))
