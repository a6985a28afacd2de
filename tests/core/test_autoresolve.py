"""Of whom a new lead, contact or person account is made, what it holds, and whom nobody is made of."""

from dataclasses import replace

import pytest

from reconciliation.core.autoresolve import Mode, NewAccount, Request, ResolveSettings, decide, known_with
from reconciliation.core.linking import decide_links
from reconciliation.core.linking_facts import Account, PersonKind, Trigger
from reconciliation.core.new_people import NOT_PROVIDED, NewKind, fill
from tests.core.linking_world import ME, RULES, SHIPPED, answered, auto, chose, incoming, meeting, outgoing, person

LEADS, CONTACTS = ResolveSettings(Mode.LEADS), ResolveSettings(Mode.CONTACTS)
SMART, MAKING = replace(LEADS, smart=True), replace(CONTACTS, create_accounts=True)
EVERYBODY = replace(LEADS, all_recipients=True)
ZED = {"zed@zeta.example": {"first_name": "Zed", "last_name": "Zimmer", "title": "CTO", "phone": "+49 30 1", "company": "Zeta AG"}}


def read_name(display, _):
    words = display.split()
    return (words[0], words[1]) if len(words) == 2 else None


def resolved(*items, settings=LEADS, certain=None, accounts=()):
    known, _ = answered(items, accounts=accounts, new_people=True, new_accounts=settings.create_accounts)
    asked = [Request(i, decide_links(i, known, settings=SHIPPED, rules=RULES, user=ME), certain or {}) for i in items]
    return decide(asked, known, settings=settings, rules=RULES, user=ME, read_name=read_name)


def made(*items, **more):
    (only,) = resolved(*items, **more).people
    return only


def keys(*items, **more):
    return [p.key for p in resolved(*items, **more).people]


def reasons(*items, **more):
    return {s.key: s.reason for s in resolved(*items, **more).skipped}


# --- which kind -------------------------------------------------------------------------------------------------------


def test_it_is_off_as_shipped():
    item = incoming("Zed Zimmer <zed@zeta.example>")

    assert not resolved(item, settings=ResolveSettings()).people
    assert reasons(item, settings=ResolveSettings()) == {"zed@zeta.example": "auto-resolving is off"}


@pytest.mark.parametrize(
    ("mode", "kind", "fields"),
    [
        (Mode.LEADS, NewKind.LEAD, {"Email": "zed@zeta.example", "Company": "Zeta", "FirstName": "Zed", "LastName": "Zimmer"}),
        (Mode.CONTACTS, NewKind.CONTACT, {"Email": "zed@zeta.example", "FirstName": "Zed", "LastName": "Zimmer"}),
        (Mode.PERSON_ACCOUNTS, NewKind.PERSON_ACCOUNT, {"PersonEmail": "zed@zeta.example", "FirstName": "Zed", "LastName": "Zimmer"}),
    ],
)
def test_the_organisation_chooses_the_kind(mode, kind, fields):
    it = made(incoming("Zed Zimmer <zed@zeta.example>"), settings=ResolveSettings(mode))

    assert (it.kind, it.fields) == (kind, fields)


@pytest.mark.parametrize(
    ("address", "kind", "account"),
    [
        ("new@acme.example", NewKind.CONTACT, "001-acme"),
        ("new@beta.example", NewKind.CONTACT, "001-beta"),
        ("new@twin.example", NewKind.LEAD, None),
        ("new@nova.example", NewKind.LEAD, None),
        ("new@zeta.example", NewKind.LEAD, None),
        ("someone.new@gmail.com", NewKind.LEAD, None),
    ],
)
def test_smart_makes_a_contact_where_the_domain_leads_to_one_account(address, kind, account):
    it = made(incoming(address), settings=SMART)

    assert it.kind is kind
    assert (it.account.id if it.account else None) == account


def test_smart_does_not_overrule_person_accounts():
    assert made(incoming("new@acme.example"), settings=replace(SMART, mode=Mode.PERSON_ACCOUNTS)).kind is NewKind.PERSON_ACCOUNT


# --- of whom ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (incoming("zed@zeta.example", "me", "yara@zeta.example"), ["zed@zeta.example"]),
        (outgoing("zed@zeta.example", "yara@zeta.example"), ["zed@zeta.example"]),
        (outgoing("bo@acme.example", "yara@zeta.example"), []),
        (outgoing(bcc=["zed@zeta.example"]), []),
        (incoming("col@ours.example", cc=["zed@zeta.example"]), ["zed@zeta.example"]),
        (meeting("me", "zed@zeta.example", "yara@zeta.example"), ["zed@zeta.example", "yara@zeta.example"]),
        (incoming("noreply@zeta.example", cc=["yara@zeta.example"]), []),
    ],
)
def test_of_an_email_the_main_counterpart_alone_is_made(item, expected):
    assert keys(item) == expected


def test_all_recipients_are_made_where_that_is_set():
    item = outgoing("bo@acme.example", "zed@zeta.example", cc=["yara@zeta.example"], bcc=["quin@zeta.example"])

    assert keys(item, settings=EVERYBODY) == ["zed@zeta.example", "yara@zeta.example", "quin@zeta.example"]


@pytest.mark.parametrize(
    "address",
    ["no-reply@zeta.example", "info@zeta.example", "sales+7@zeta.example", "mailer-daemon@zeta.example", "notifications@zeta.example"],
)
def test_nobody_is_made_of_a_shared_mailbox_or_a_machine(address):
    item = incoming(f"Zed Zimmer <{address}>")

    assert keys(item) == []
    assert list(reasons(item).values()) == ["nobody in particular sits behind it"]


@pytest.mark.parametrize(
    "address", ["x@rival.example", "x@mail.blocked.example", "dan@ours.example", "m.self@gmail.com", "bo@acme.example"]
)
def test_nobody_is_made_of_blocked_internal_and_known_addresses(address):
    assert keys(meeting("me", address), settings=MAKING) == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("x@rival.example", "The domain rival.example stands in the organisation's blocklist"),
        ("vip+2@beta.example", "vip@beta.example stands in the user's blocklist"),
        ("dan@ours.example", "it is a colleague's, or the user's own"),
        ("m.self+2@gmail.com", "it is a colleague's, or the user's own"),
        ("zed@zeta.example", "Salesforce knows it by now"),
    ],
)
def test_what_changed_since_the_links_were_decided_counts(address, reason):
    item = meeting("me", "zed@zeta.example")
    known, _ = answered([item])
    links = replace(decide_links(item, known, settings=SHIPPED, rules=RULES, user=ME), unresolved=(address,))
    known = known_with(known, {"zed@zeta.example": person("003-zed", "Zed", "zed@zeta.example")})

    result = decide([Request(item, links)], known, settings=LEADS, rules=RULES, user=ME, read_name=read_name)

    assert not result.people
    assert [s.reason for s in result.skipped] == [reason]


@pytest.mark.parametrize("situation", ["info@acme.example", "lou@lost.example"])
def test_nobody_is_made_where_somebody_is_known_but_could_not_be_chosen(situation):
    people = (person("003-ann", "Ann Aro", "info@acme.example"), person("003-ben", "Ben Bry", "info@acme.example"))
    item = meeting("me", situation)
    known, _ = answered([item], people=people, new_people=True)
    links = decide_links(item, known, settings=SHIPPED, rules=RULES, user=ME)

    assert not decide([Request(item, links)], known, settings=LEADS, rules=RULES, user=ME, read_name=read_name).people


@pytest.mark.parametrize("choice", [{"who": ""}, {"who": "003-bo"}, {"others": ()}])
def test_where_a_person_chose_nobody_is_made(choice):
    assert keys(chose(incoming("zed@zeta.example"), **choice)) == []


def test_a_chosen_record_makes_people_all_the_same():
    assert keys(chose(incoming("zed@zeta.example"), what="001-beta")) == ["zed@zeta.example"]


@pytest.mark.parametrize(
    ("item", "trigger"),
    [
        (incoming("zed@zeta.example"), Trigger.USER),
        (auto(meeting("me", "zed@zeta.example")), Trigger.CALENDAR),
        (auto(incoming("zed@zeta.example")), Trigger.AUTO_SAVE),
    ],
)
def test_each_way_of_sharing_counts_unless_it_is_switched_off(item, trigger):
    assert keys(item) == ["zed@zeta.example"]
    assert keys(item, settings=replace(LEADS, triggers=frozenset(Trigger) - {trigger})) == []


def test_one_person_is_made_of_an_address_however_many_items_name_it():
    items = [
        replace(incoming("zed@zeta.example"), id="a"),
        replace(incoming("Zed Zimmer <ZED@zeta.example>"), id="b"),
        replace(outgoing("zed+tag@zeta.example"), id="c"),
    ]

    it = made(*items)

    assert (it.key, it.items, it.fields["LastName"]) == ("zed@zeta.example", ("a", "b", "c"), "Zimmer")


# --- with what --------------------------------------------------------------------------------------------------------


def test_the_signature_fills_the_fields():
    it = made(incoming("Z. <zed@zeta.example>"), certain=ZED)

    assert it.fields == {
        "Email": "zed@zeta.example", "FirstName": "Zed", "LastName": "Zimmer", "Title": "CTO", "Phone": "+49 30 1", "Company": "Zeta AG",
    }  # fmt: skip
    assert it.missing == ()


def test_a_person_account_has_names_of_its_own_for_its_fields():
    it = made(incoming("zed@zeta.example"), certain=ZED, settings=ResolveSettings(Mode.PERSON_ACCOUNTS, key_fields=("Title", "Phone")))

    assert (it.fields["PersonTitle"], it.fields["Phone"], it.missing) == ("CTO", "+49 30 1", ())
    assert "Company" not in it.fields and it.account is None


def test_a_signature_speaks_for_its_own_address_only():
    it = resolved(meeting("me", "zed@zeta.example", "yara@zeta.example"), certain=ZED)

    assert [p.fields["LastName"] for p in it.people] == ["Zimmer", "yara"]


def test_halves_of_two_names_are_not_put_together():
    it = made(incoming("Anna Zorn <zed@zeta.example>"), certain={"zed@zeta.example": {"first_name": "Zed"}})

    assert (it.fields["FirstName"], it.fields["LastName"]) == ("Anna", "Zorn")


def test_a_first_name_of_the_signature_is_not_put_before_another_last_name():
    filled = fill(NewKind.LEAD, "zed@zeta.example", ("", "Zorn"), {"first_name": "Zed"})

    assert filled.fields == {"LastName": "Zorn", "Email": "zed@zeta.example"}


def test_who_has_no_name_is_listed_as_incomplete():
    it = made(incoming("zed.z@zeta.example"))

    assert it.fields["LastName"] == "zed.z" and "FirstName" not in it.fields
    assert it.missing == ("FirstName", "LastName")
    assert it.why[-1] == "Nobody says what zed.z@zeta.example is called; a part of the address stands for the last name."


def test_a_value_that_is_too_long_is_left_out_not_cut():
    it = made(incoming("zed@zeta.example"), certain={"zed@zeta.example": {"last_name": "Zim", "phone": "1" * 41, "title": "  "}})

    assert "Phone" not in it.fields and "Title" not in it.fields
    assert "The phone is longer than 40 characters; it was left out." in it.why


def test_an_address_that_salesforce_cannot_hold_is_left_alone():
    address = f"{'z' * 60}@{'y' * 20}.example"

    assert reasons(incoming(address)) == {address: "Salesforce takes addresses of 80 characters"}


@pytest.mark.parametrize(
    ("address", "settings", "certain", "company"),
    [
        ("new@acme.example", LEADS, {"company": "ACME Holding"}, "Acme"),
        ("zed@zeta.example", LEADS, {"company": "Zeta AG"}, "Zeta AG"),
        ("zed@big-zeta.co.uk", LEADS, {}, "Big Zeta"),
        ("zed@big-zeta.co.uk", replace(LEADS, company_from_domain=False), {}, NOT_PROVIDED),
        ("zed.z@gmail.com", LEADS, {}, NOT_PROVIDED),
        ("zed.z@gmail.com", LEADS, {"company": "Zed's Bakery"}, "Zed's Bakery"),
        ("zed@zeta.example", LEADS, {"company": "Z" * 256}, "Zeta"),
    ],
)
def test_a_lead_has_a_company(address, settings, certain, company):
    it = made(incoming(f"Zed Zimmer <{address}>"), settings=settings, certain={address: certain})

    assert it.fields["Company"] == company
    assert it.missing == (("Company",) if company == NOT_PROVIDED else ())


# --- the account of a contact -----------------------------------------------------------------------------------------


def test_an_account_of_the_domain_is_taken_before_one_is_made():
    it = made(incoming("new@acme.example"), settings=MAKING)

    assert it.account.id == "001-acme"
    assert it.why[1] == "It belongs to Acme, whose web site is of acme.example."


def test_an_account_is_named_after_the_domain():
    it = made(incoming("zed@mail.big-zeta.co.uk"), settings=MAKING)

    assert it.account == NewAccount("Big Zeta", "big-zeta.co.uk", "big-zeta.co.uk")


@pytest.mark.parametrize(
    ("address", "settings", "why"),
    [
        ("zed@zeta.example", CONTACTS, "It gets no account: none has its domain."),
        ("zed.z@gmail.com", MAKING, "It gets no account: its domain is no company's."),
        ("new@acme.onmicrosoft.com", MAKING, "It gets no account: its domain is no company's."),
        ("new@twin.example", MAKING, "It gets no account: twin.example leads to 2 accounts."),
        (
            "new@nova.example",
            MAKING,
            "It gets no account: nova.example leads to 2 accounts, of which the account Nova Group (001-nova) is the parent.",
        ),
        ("new@gamma.example", MAKING, "It gets no account: there is one called Gamma, and nothing says that it is the same."),
    ],
)
def test_no_account_is_made_where_it_might_be_wrong(address, settings, why):
    it = made(incoming(f"Zed Zimmer <{address}>"), settings=settings)

    assert it.account is None
    assert why in it.why
    assert it.missing == ("AccountId",)


@pytest.mark.parametrize("asked", [{}, {"by_domain": {"zeta.example": ()}}, {"by_name": {"zeta": ()}}])
def test_no_account_is_made_of_what_was_not_looked_up(asked):
    item = incoming("zed@zeta.example")
    known = replace(answered([item])[0], **asked)
    links = decide_links(item, known, settings=SHIPPED, rules=RULES, user=ME)

    (it,) = decide([Request(item, links)], known, settings=MAKING, rules=RULES, user=ME, read_name=read_name).people

    assert it.account is None


def test_people_of_one_company_share_one_new_account():
    result = resolved(meeting("me", "zed@zeta.example", "yara@sub.zeta.example"), settings=MAKING)

    assert [p.account for p in result.people] == [result.accounts[0]] * 2
    assert len(result.accounts) == 1


def test_the_item_is_linked_to_whom_it_made():
    item = incoming("zed@zeta.example")
    known, _ = answered([item], new_people=True)
    zed = person("003-zed", "Zed Zimmer", "zed@zeta.example", account="001-zeta")
    known = known_with(known, {"zed@zeta.example": zed}, [Account("001-zeta", "Zeta", "zeta.example")])

    links = decide_links(item, known, settings=SHIPPED, rules=RULES, user=ME)

    assert (links.who, links.what, links.unresolved) == ("003-zed", "001-zeta", ())
    assert links.found[0].kind is PersonKind.CONTACT
