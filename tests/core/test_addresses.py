"""E-mail addresses of headers: taken apart and compared; whose they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.addresses import (
    MOST_ADDRESSES,
    domain_of,
    is_internal,
    is_machine,
    is_shared_mailbox,
    normalise_address,
    normalise_domain,
    parse_addresses,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Bo@Acme.Example", "bo@acme.example"),
        (" <mailto:bo@acme.example> ", "bo@acme.example"),
        ("SMTP:bo@acme.example", "bo@acme.example"),
        ("anna@müller.example", "anna@xn--mller-kva.example"),
        ("bo+crm@acme.example.", "bo+crm@acme.example"),
        ("bo\u200b@acme.example", "bo@acme.example"),
        ("bo@acme", ""),
        ("bo@10.0.0.1", ""),
        ("@acme.example", ""),
        ("bo li@acme.example", ""),
        ("bo@ac me.example", ""),
        (".bo@acme.example", ""),
        ("", ""),
    ],
)
def test_an_address_has_one_form(text, address):
    assert normalise_address(text) == address
    assert domain_of(text) == address.rpartition("@")[2]


def test_a_domain_has_one_form():
    assert normalise_domain("Mail.Acme.Example.") == "mail.acme.example"
    assert [normalise_domain(text) for text in ("localhost", "a..b", "-a.example", "a" * 300 + ".example", "ex ample.example")] == [""] * 5


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Bo Li <bo@acme.example>, ann@home.example", [("Bo Li", "bo@acme.example"), ("", "ann@home.example")]),
        ('"Li, Bo" <bo@acme.example>; Ann <ann@home.example>', [("Li, Bo", "bo@acme.example"), ("Ann", "ann@home.example")]),
        ("Müller, Anna <anna@acme.example>, Bo <bo@acme.example>", [("Müller, Anna", "anna@acme.example"), ("Bo", "bo@acme.example")]),
        ("bo@acme.example (Bo Li)", [("Bo Li", "bo@acme.example")]),
        ("Team: Anna <anna@acme.example>, bo@acme.example;", [("Anna", "anna@acme.example"), ("", "bo@acme.example")]),
        ("=?utf-8?q?Bj=C3=B6rn?= <b@acme.example>", [("Björn", "b@acme.example")]),
        ("=?nonsense?q?x?= <b@acme.example>", [("", "b@acme.example")]),
        ('Bo "the one <bo@acme.example>, ann@home.example', [("Bo the one", "bo@acme.example"), ("", "ann@home.example")]),
        ("BO@acme.example, bo@acme.example", [("", "bo@acme.example")]),
        ("undisclosed-recipients:;", []),
        ("", []),
    ],
)
def test_a_header_is_taken_apart(header, found):
    assert [(a.name, a.address) for a in parse_addresses(header)] == found


@given(st.text(max_size=400))
def test_no_header_is_too_strange(header):
    for found in parse_addresses(header):
        assert normalise_address(found.address) == found.address


def test_work_on_a_header_is_bounded():
    many = ", ".join(f"p{n}@acme.example" for n in range(5_000))
    assert len(parse_addresses(many)) == MOST_ADDRESSES
    assert parse_addresses('"' * 100_001 + "<" * 1000) == []


def test_own_domains_reach_below_themselves():
    assert is_internal("ann@mail.acme.example", ["@Acme.example"])
    assert not is_internal("ann@notacme.example", ["acme.example"])
    assert not is_internal("nobody", ["acme.example"])


@pytest.mark.parametrize("address", ["info@acme.example", "Sales-EMEA@acme.example", "no-reply@acme.example", "support+4@acme.example"])
def test_nobody_in_particular_sits_behind_some_addresses(address):
    assert is_shared_mailbox(address)


@pytest.mark.parametrize("address", ["bo@acme.example", "ann.li@acme.example", "salesh@acme.example", "infante@acme.example"])
def test_people_do_behind_others(address):
    assert not is_shared_mailbox(address) and not is_machine(address)


def test_some_addresses_are_those_of_programs():
    assert is_machine("no.reply@acme.example") and is_machine("bounce-12@acme.example") and not is_machine("sales@acme.example")
