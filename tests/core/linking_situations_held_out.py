"""The half of the labelled situations of linking that was written before the linker, and is not tuned on."""

from dataclasses import replace

from reconciliation.core.linking_facts import LinkSettings
from tests.core.linking_world import Situation, chose, incoming, meeting, opportunity, outgoing, person, task

OPP, DOMAIN = LinkSettings(link_opportunity=True), LinkSettings(account_by_domain=True)
INSIDE, ALONE = LinkSettings(include_internal=True), LinkSettings(shared_activities=False)
BO, JAN, EVA, UMA, ACME, UK, BETA = "003-bo", "003-jan", "003-eva", "003-uma", "001-acme", "001-uk", "001-beta"
CROWD = tuple(person(f"003-c{n:02}", f"Crowd {n}", f"c{n}@acme.example", account=ACME) for n in range(60))
CROWD_AT = tuple(f"c{n}@acme.example" for n in range(60))
BO2 = person("003-bo2", "Bo Li", "bo@acme.example", account="001-gamma")
GUS2 = person("003-gus2", "Gus Gamm", "gus@gamma.example", account="001-gamma")
MINE, THEIRS = opportunity("006-mine", ACME), opportunity("006-theirs", ACME, owner="005-other")

_S = Situation
_SITUATIONS = (
    # --- e-mails that came in
    _S("a contact writes", incoming("bo@acme.example"), BO, ACME),
    _S("a contact writes under another name", incoming("Bobby from the road <bo@acme.example>"), BO, ACME),
    _S("the address is in capitals", incoming("BO@ACME.EXAMPLE"), BO, ACME),
    _S("a stranger writes", incoming("zed@zeta.example"), unresolved=("zed@zeta.example",)),
    _S("a colleague writes, a contact has a copy", incoming("col@ours.example", cc=["jan@acme.example"]), JAN, ACME),
    _S("a contact writes, one of the same company has a copy", incoming("bo@acme.example", cc=["jan@acme.example"]), BO, ACME, (JAN,)),
    _S("a contact writes, one of another company has a copy", incoming("bo@acme.example", cc=["eva@beta.example"]), BO, ACME, (EVA,)),
    _S("a lead writes", incoming("lee@lead.example"), "00Q-lee"),
    _S("a lead writes, a contact has a copy", incoming("lee@lead.example", cc=["bo@acme.example"]), BO, ACME, out=("lee@lead.example",)),
    _S("a lead that became a contact writes", incoming("bo@old.example"), BO, ACME, unresolved=()),
    _S("a lead whose contact is gone writes", incoming("lou@lost.example"), unresolved=(), out=("lou@lost.example",)),
    _S("a stranger writes to us and a contact", incoming("zed@zeta.example", "me", "bo@acme.example"), BO, ACME),
    _S("a machine writes", incoming("noreply@acme.example"), unresolved=("noreply@acme.example",)),
    _S("the address is in a custom field", incoming("eva.private@gmail.com"), EVA, BETA),
    _S("a tag behind a plus", incoming("bo+crm@acme.example"), BO, ACME, unresolved=()),
    _S(
        "a tag behind a plus that is a record of its own",
        incoming("bo+desk@acme.example"),
        "003-desk",
        "001-gamma",
        people=(person("003-desk", "Desk", "bo+desk@acme.example", account="001-gamma"),),
    ),
    _S("a contact at a free-mail address", incoming("fred.free@gmail.com"), "003-fred", BETA),
    _S("a person account writes", incoming("mia.moss@gmail.com"), "003-mia", "001-mia"),
    _S("a contact without account", incoming("lone@nowhere.example"), "003-lone"),
    # --- the account by its domain
    _S("free-mail leads to no account", incoming("zed@gmail.com"), settings=DOMAIN),
    _S("a stranger at a known company", incoming("new@acme.example"), "", ACME, settings=DOMAIN),
    _S("a stranger at a known company, setting off", incoming("new@acme.example")),
    _S("two accounts of one web site", incoming("new@twin.example"), settings=DOMAIN),
    _S("strangers of two known companies", incoming("new@acme.example", cc=["new@beta.example"]), settings=DOMAIN),
    _S("a parent and its subsidiary share the web site", incoming("new@nova.example"), settings=DOMAIN),
    _S("a mail host below the company's domain", incoming("new@mail.acme.example"), "", ACME, settings=DOMAIN),
    _S("a lead is found, its company is no account", incoming("al@acme.example"), "00Q-acme", settings=DOMAIN),
    # --- blocked and internal
    _S("a blocked contact writes", incoming("vip@beta.example"), out=("vip@beta.example",), unresolved=()),
    _S("a blocked sender, an allowed copy", incoming("spy@rival.example", cc=["bo@acme.example"]), BO, ACME),
    _S("a sub-domain of a blocked one", incoming("x@mail.blocked.example"), unresolved=()),
    _S("a colleague who is a contact", incoming("col@ours.example"), unresolved=()),
    _S("a colleague who is a contact, internal ones included", incoming("col@ours.example"), "003-col", "001-ours", settings=INSIDE),
    _S("our own address as a contact", outgoing("me", "m.self@gmail.com"), settings=INSIDE, unresolved=()),
    # --- e-mails that went out
    _S("to a contact", outgoing("bo@acme.example"), BO, ACME),
    _S("to a stranger and a contact", outgoing("zed@zeta.example", "eva@beta.example"), EVA, BETA),
    _S("to a colleague, a copy to a contact", outgoing("col@ours.example", cc=["gus@gamma.example"]), "003-gus", "001-gamma"),
    _S("a blind copy is the only contact", outgoing("col@ours.example", bcc=["bo@acme.example"]), BO, ACME),
    _S("to a contact twice", outgoing("bo@acme.example", cc=["Bo@acme.example"]), BO, ACME),
    _S("two addresses of one contact", outgoing("eva@beta.example", "eva.private@gmail.com"), EVA, BETA),
    # --- opportunities
    _S("an open opportunity of ours", incoming("bo@acme.example"), BO, "006-mine", opportunities=(MINE,), settings=OPP),
    _S("opportunities are off", incoming("bo@acme.example"), BO, ACME, opportunities=(MINE,)),
    _S("it is closed", incoming("bo@acme.example"), BO, ACME, opportunities=(opportunity("006-won", ACME, closed=True),), settings=OPP),
    _S("it is another owner's", incoming("bo@acme.example"), BO, ACME, opportunities=(THEIRS,), settings=OPP),
    _S(
        "two of ours, the newest counts",
        incoming("bo@acme.example"),
        BO,
        "006-new",
        opportunities=(opportunity("006-new", ACME, made=9), opportunity("006-old", ACME, made=2, modified=90)),
        settings=OPP,
    ),
    _S(
        "only the company of the copy has one",
        incoming("bo@acme.example", cc=["eva@beta.example"]),
        BO,
        "006-beta",
        (EVA,),
        opportunities=(opportunity("006-beta", BETA),),
        settings=OPP,
    ),
    _S("the parent has one", incoming("uma@acme.co.uk"), UMA, UK, opportunities=(MINE,), settings=OPP),
    _S("a lead at a company with one", incoming("al@acme.example"), "00Q-acme", opportunities=(MINE,), settings=OPP),
    _S(
        "only the blind copy's company has one",
        outgoing("eva@beta.example", bcc=["bo@acme.example"]),
        EVA,
        BETA,
        (BO,),
        opportunities=(MINE,),
        settings=OPP,
    ),
    _S(
        "a partner has a role in the customer's",
        incoming("pia@partner.example"),
        "003-pia",
        "001-partner",
        opportunities=(opportunity("006-role", ACME, roles=("003-pia",)),),
        settings=OPP,
    ),
    # --- several records of one address
    _S("one of two is at the company of the domain", incoming("bo@acme.example"), BO, ACME, people=(BO2,)),
    _S(
        "one of two is ours",
        incoming("dup@gamma.example"),
        "003-d1",
        "001-gamma",
        people=(
            person("003-d1", "Dee Dup", "dup@gamma.example", account="001-gamma", owner="005-me"),
            person("003-d2", "Dee Dup", "dup@gamma.example", account="001-gamma", active=50),
        ),
    ),
    _S(
        "one of two was active last",
        incoming("dup@gamma.example"),
        "003-d2",
        "001-gamma",
        people=(
            person("003-d1", "Dee Dup", "dup@gamma.example", account="001-gamma", active=2),
            person("003-d2", "Dee Dup", "dup@gamma.example", account="001-gamma", active=50),
        ),
    ),
    _S("two that nothing tells apart", incoming("gus@gamma.example"), people=(GUS2,), unresolved=(), out=("gus@gamma.example",)),
    _S(
        "two people share an address",
        incoming("Acme Front Desk <info@acme.example>"),
        people=(
            person("003-ann", "Ann Aro", "info@acme.example", account=ACME, owner="005-me", active=9),
            person("003-ben", "Ben Bry", "info@acme.example", account=ACME),
        ),
        out=("info@acme.example",),
    ),
    _S(
        "two people share an address, the name says which",
        incoming("Ben Bry <info@acme.example>"),
        "003-ben",
        ACME,
        people=(
            person("003-ann", "Ann Aro", "info@acme.example", account=ACME, owner="005-me"),
            person("003-ben", "Ben Bry", "info@acme.example", account=ACME),
        ),
    ),
    _S("a contact and a lead", incoming("bo@acme.example"), BO, ACME, people=(person("00Q-bo", "Bo Li", "bo@acme.example"),)),
    _S(
        "a lead, its contact and another lead",
        incoming("bo@acme.example"),
        BO,
        ACME,
        people=(
            person("00Q-bo", "Bo Li", "bo@acme.example", is_converted=True, converted_contact_id=BO),
            person("00Q-bo2", "Bo Li", "bo@acme.example", owner="005-me"),
        ),
    ),
    _S(
        "two leads of one address",
        incoming("dup@lead.example"),
        "00Q-d2",
        people=(
            person("00Q-d1", "Dee Dup", "dup@lead.example", modified=3),
            person("00Q-d2", "Dee Dup", "dup@lead.example", modified=40),
        ),
    ),
    _S(
        "only the phone number tells which of two it is",
        incoming("gus@gamma.example"),
        "003-gus",
        "001-gamma",
        people=(GUS2,),
    ),
    # --- meetings
    _S("ours with two contacts", meeting("me", "bo@acme.example", "jan@acme.example"), BO, ACME, (JAN,)),
    _S("a contact's, we and another attend", meeting("jan@acme.example", "me", "bo@acme.example"), JAN, ACME, (BO,)),
    _S("a stranger's with a contact", meeting("zed@zeta.example", "me", "bo@acme.example"), BO, ACME, unresolved=("zed@zeta.example",)),
    _S(
        "in a customer's room",
        meeting("me", "bo@acme.example", rooms=["room1@acme.example"]),
        BO,
        ACME,
        unresolved=(),
        out=("room1@acme.example",),
    ),
    _S("of colleagues only", meeting("col@ours.example", "me", "dan@ours.co.uk"), unresolved=()),
    _S("with sixty contacts", meeting("me", *CROWD_AT), "003-c00", ACME, tuple(f"003-c{n:02}" for n in range(1, 50)), people=CROWD),
    _S("without shared activities", meeting("me", "bo@acme.example", "jan@acme.example"), BO, ACME, settings=ALONE),
    _S("with two leads", meeting("me", "lee@lead.example", "lia@lead.example"), "00Q-lee"),
    _S("of a lead with a contact", meeting("lee@lead.example", "me", "eva@beta.example"), EVA, BETA),
    _S("with a list", meeting("me", "all-hands@zeta.example"), unresolved=("all-hands@zeta.example",)),
    _S("with two companies", meeting("me", "eva@beta.example", "bo@acme.example"), EVA, BETA, (BO,)),
    # --- what a person chose
    _S("another person chosen", chose(incoming("bo@acme.example"), who=JAN), JAN, ACME, (BO,)),
    _S("nobody chosen", chose(incoming("bo@acme.example"), who="")),
    _S("another record chosen", chose(incoming("bo@acme.example"), what=BETA), BO, BETA),
    _S("no record chosen", chose(incoming("bo@acme.example"), what=""), BO),
    _S("a lead chosen", chose(incoming("bo@acme.example"), who="00Q-lee"), "00Q-lee"),
    _S("a lead and a record chosen", chose(incoming("bo@acme.example"), who="00Q-lee", what=BETA), "00Q-lee"),
    _S("a record chosen where the person is a lead", chose(incoming("lee@lead.example"), what=ACME), "", ACME),
    _S("chosen, but gone", chose(incoming("bo@acme.example"), who="003-gone"), BO, ACME),
    _S("blocked, but chosen", chose(incoming("vip@beta.example"), who="003-vip"), "003-vip", BETA),
    _S("a task of nobody", task()),
    _S("a task with a chosen contact", chose(task(), who=EVA), EVA, BETA),
)
HELD_OUT = tuple(replace(s, held_out=True) for s in _SITUATIONS)
