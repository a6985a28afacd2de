"""What a domain says of a company (S4.39, S4.40, D15), and whom the blocklists leave out (S4.37)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.blocklists import Blocklist, blocklist_entry
from reconciliation.core.domains import (
    DomainRules,
    account_name_of,
    corporate_domain,
    domain_of_website,
    is_free_mail,
    refusal,
    registrable,
)


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("acme.co.uk", "Acme"),
        ("mail.shop.co.uk", "Shop"),
        ("big-data.com", "Big Data"),
        ("bmw.de", "BMW"),
        ("3m.com", "3M"),
        ("1und1.de", "1und1"),
        ("schmidt-und-partner.de", "Schmidt und Partner"),
        ("miller-gmbh.de", "Miller GmbH"),
        ("müller.de", "Müller"),
        ("xn--mller-kva.de", "Müller"),
    ],
)
def test_s4_40_an_account_is_called_after_its_corporate_domain(domain, name):
    assert account_name_of(domain) == name


@pytest.mark.parametrize(
    "domain",
    [
        *("gmail.com", "outlook.com", "web.de", "mail.gmail.com", "posteo.de"),  # addresses for anybody
        *("mailinator.com", "10minutemail.com"),  # thrown away
        *("co.uk", "com", "localhost", "server.local", "10.0.0.1", ""),  # nobody's own
        *("acme.onmicrosoft.com", "group.calendar.google.com"),  # many companies' mail
        *("163.com", "аррӏе.com"),  # says no name, or only looks like one
    ],
)
def test_s4_40_public_domains_give_none(domain):
    assert account_name_of(domain) is None
    assert refusal(domain)


def test_d15_own_and_blocked_domains_give_none_and_a_site_may_say_otherwise():
    rules = DomainRules(
        own=frozenset({"acme.com"}),
        free_mail=frozenset({"vereinsmail.ch"}),
        not_free_mail=frozenset({"hey.com"}),
        blocklist=Blocklist.of(["rival.com"]),
    )
    assert account_name_of("mail.acme.com", rules) is None and "own domains" in refusal("acme.com", rules)
    assert account_name_of("shop.rival.com", rules) is None and "blocklist" in refusal("rival.com", rules)
    assert account_name_of("vereinsmail.ch", rules) is None and account_name_of("vereinsmail.ch") == "Vereinsmail"
    assert account_name_of("hey.com") is None and account_name_of("hey.com", rules) == "Hey"


def test_what_is_registered_below_a_public_suffix():
    assert registrable("a.b.acme.co.uk") == "acme.co.uk"
    assert corporate_domain("Bo@mail.acme.com") == "acme.com" and corporate_domain("bo@gmail.com") == "gmail.com"
    assert is_free_mail("gmail.com") and not is_free_mail("acme.com")


@pytest.mark.parametrize(
    ("site", "domain"),
    [
        ("https://www.acme.co.uk/about?x=1", "acme.co.uk"),
        ("ACME.com", "acme.com"),
        ("http://user:pw@acme.com:8080", "acme.com"),
        ("http://[::1", ""),
        ("acme", ""),
        ("", ""),
    ],
)
def test_d15_an_account_is_found_by_its_web_site(site, domain):
    assert domain_of_website(site) == domain


@given(st.text(max_size=80))
def test_no_text_is_too_strange(text):
    assert account_name_of(text) is None or refusal(text) is None
    domain_of_website(text)
    blocklist_entry(text)
    Blocklist.of([text]).blocks(text)


def test_s4_37_the_two_lists_of_a_user():
    lists = Blocklist.of(organisation=["@Rival.com", "spam@acme.com", "ru", "no entry!"], user=["friend@home.net", "*.club.org"])
    assert lists.blocks("X@rival.com") == "The domain rival.com stands in the organisation's blocklist."
    assert lists.blocks("x@eu.rival.com") and lists.blocks("x@any.ru") and lists.blocks("Spam@acme.com")
    assert lists.blocks("friend@home.net") == "friend@home.net stands in the user's blocklist."
    assert lists.blocks("x@club.org") and lists.blocks_domain("sub.club.org")
    assert lists.blocks("bo@acme.com") is None and lists.blocks("x@notrival.com") is None and lists.blocks("nobody") is None
    assert Blocklist.of(organisation=["rival.com"]).blocks("friend@home.net") is None  # a user's list is that user's alone
    assert lists.organisation == {"rival.com", "spam@acme.com", "ru"}
