"""A Salesforce connection as the application keeps it: what comes with its tokens, and where they may go."""

import pytest

from connectors.errors import NeedsAttention, OutcomeUnknown
from reconciliation.engine.connections import open_connector
from reconciliation.models import Connection
from tests.connectors.salesforce_wire import (
    AT,
    EXPIRED,
    HOME,
    IDENTITY,
    LOGIN,
    ROOT,
    SHOWN,
    TOKEN_ROUTE,
    Org,
    given,
    id18,
    page,
    row,
)

pytestmark = pytest.mark.django_db


def connection(**more):
    secrets = {"client_id": "client-1", "client_secret": "client-secret-1", "access_token": "00D!old", "refresh_token": "refresh-1"}
    values = {"name": "Salesforce", "system": "salesforce", "base_url": LOGIN, "login_url": LOGIN, "secrets": secrets, **more}
    return Connection.objects.create(**values)


def test_address_and_identity_are_kept_with_the_tokens_and_used_at_the_next_opening():
    org = Org({"GET /query": [EXPIRED, page(row(1)), page(row(1))], TOKEN_ROUTE: given("00D!new", refresh_token="refresh-2")})
    made = connection()

    open_connector(made, adapter=org, db_now=lambda: AT).read("Contact", [id18(1)], [])

    kept = Connection.objects.get(pk=made.pk)
    assert (kept.secrets["address"], kept.secrets["identity"], kept.secrets["refresh_token"]) == (HOME, IDENTITY, "refresh-2")
    again = open_connector(kept, adapter=org, db_now=lambda: AT)
    again.read("Contact", [id18(1)], [])
    assert org.requests[-1].url.startswith(f"{HOME}{ROOT}/query") and org.calls.count(TOKEN_ROUTE) == 1
    assert again.made_by_us("Contact", [], since=AT) and "005AA0000000001YAA" in org.soql()


def test_tokens_go_to_no_host_that_the_settings_do_not_allow():
    org = Org({TOKEN_ROUTE: given("00D!new", instance_url="https://acme.example"), "GET /query": page()})
    made = connection(secrets={"client_id": "client-1", "refresh_token": "refresh-1"})

    for _ in range(2):  # also when the address was stored with the tokens
        with pytest.raises(NeedsAttention, match=r"acme\.example"):
            open_connector(made, adapter=org, db_now=lambda: AT).read("Contact", [id18(1)], [])

    assert set(org.calls) == {TOKEN_ROUTE}


def test_a_kept_description_saves_asking_for_it_and_says_how_fields_are_read():
    org = Org({"GET /query": page(row(1, Since__c=SHOWN))})
    cache = {"Contact": {"Since__c": {"title": "Since", "type": "datetime", "max_length": 0, "is_required": False, "is_updatable": True}}}
    secrets = {"client_id": "client-1", "access_token": "00D!old", "refresh_token": "refresh-1", "address": HOME}

    (record,) = open_connector(connection(schema_cache=cache, secrets=secrets), adapter=org).read("Contact", [id18(1)], ["Since__c"])

    assert record.fields["Since__c"] == AT and org.calls == ["GET /query"]


def test_what_the_log_shows_of_a_call_is_its_address_and_no_token():
    org = Org({"POST /composite": lambda r: page()})
    secrets = {"client_id": "client-1", "access_token": "00D!old-token", "refresh_token": "refresh-1", "address": HOME}
    sf = open_connector(connection(secrets=secrets, settings={"longest_address": 10}), adapter=org)

    with pytest.raises(OutcomeUnknown) as caught:
        sf.read("Contact", [id18(1)], [])

    assert caught.value.exchange.url == f"{HOME}{ROOT}/composite"
