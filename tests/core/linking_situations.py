"""Labelled situations of linking: what a careful person would link, given what Salesforce holds (`linking_world` has the cast).

The held-out half was written before the linker and is not tuned on; this half was written after it, against it. A label says what
is right, not what the rules find: where only a person could know, the label still says it, and the linker loses recall."""

from dataclasses import replace

from reconciliation.core.linking_facts import LinkSettings, Role
from tests.core.linking_situations_held_out import (
    ACME,
    ALONE,
    BETA,
    BO,
    CROWD,
    CROWD_AT,
    DOMAIN,
    EVA,
    HELD_OUT,
    INSIDE,
    JAN,
    MINE,
    OPP,
    UK,
    UMA,
)
from tests.core.linking_world import Situation, chose, day, incoming, meeting, opportunity, outgoing, party, person, task

_S = Situation
GAMMA, GUS = "001-gamma", "003-gus"
ANN = person("003-ann", "Ann Aro", "info@acme.example", account=ACME)
BEN = person("003-ben", "Ben Bry", "info@acme.example", account=ACME)
SALES = person("003-sales", "Sales Team", "sales@beta.example", account=BETA)
HIDDEN = person("003-hid", "Hid Den", "hid@hidden.example", account="001-hidden")


def dup(id, *, account=GAMMA, name="Dee Dup", address="dup@gamma.example", **more):
    return person(id, name, address, account=account, **more)


def with_one(item, participant):
    return replace(item, participants=(participant, *item.participants))


TUNED = (
    # --- addresses as they come
    _S("blanks and angles around it", incoming(" <bo@acme.example> "), BO, ACME),
    _S("mailto before it", outgoing("mailto:bo@acme.example"), BO, ACME),
    _S("an address as the name of another", incoming("bo@acme.example <evil@zeta.example>"), unresolved=("evil@zeta.example",)),
    _S("a contact's name at a private address", incoming("Bo Li <bo.li.77@gmail.com>"), unresolved=("bo.li.77@gmail.com",)),
    _S("a letter that only looks the same", incoming("bo@\u0430cme.example")),
    _S("a letter that only looks the same, by domain", incoming("bo@\u0430cme.example"), settings=DOMAIN),
    _S("a company in a sub-domain of another's", incoming("bo@acme.example.evil.example"), settings=DOMAIN),
    _S("a domain with umlauts", incoming("joerg@BÜCHER.example"), "003-jorg", GAMMA),
    _S("its form in ASCII", incoming("joerg@xn--bcher-kva.example"), "003-jorg", GAMMA),
    _S("the same local part at another host", incoming("bo@mail.acme.example"), unresolved=("bo@mail.acme.example",)),
    _S("no sender", incoming("", cc=["jan@acme.example"]), JAN, ACME),
    _S("undisclosed recipients", incoming("bo@acme.example", "undisclosed-recipients:;"), BO, ACME),
    _S("no address at all", meeting("me", "The Boss"), unresolved=()),
    _S("a very long address", incoming(f"{'x' * 400}@acme.example"), settings=DOMAIN, unresolved=()),
    _S("a sign that turns the text", incoming("\u202ebo@acme.example"), BO, ACME),
    _S("a tag behind a plus, of a lead", incoming("lee+news@lead.example"), "00Q-lee"),
    _S("a tag of a stranger", incoming("zed+7@zeta.example"), unresolved=("zed+7@zeta.example",)),
    _S("a tag of a blocked address", incoming("vip+x@beta.example"), unresolved=()),
    _S("a tag of our own address", incoming("bo@acme.example", "m.self+lists@gmail.com"), BO, ACME, unresolved=()),
    # --- who counts
    _S("we wrote from another address of ours", with_one(outgoing("bo@acme.example"), party("m.self@gmail.com", Role.FROM)), BO, ACME),
    _S("somebody else's name as sender", with_one(outgoing("bo@acme.example"), party("pia@partner.example", Role.FROM)), BO, ACME),
    _S("we wrote to ourselves, and a contact", outgoing("me", "bo@acme.example"), BO, ACME),
    _S("our own mail came in", incoming("me", "jan@acme.example"), JAN, ACME),
    _S("a colleague at a host of ours", incoming("col@mail.ours.example"), unresolved=()),
    _S("a domain that only begins as ours", incoming("x@ours.example.zeta.example"), unresolved=("x@ours.example.zeta.example",)),
    _S("a calendar of Google's", meeting("me", "bo@acme.example", "c_1@group.calendar.google.com"), BO, ACME, unresolved=()),
    _S("a room of Google's", meeting("me", "eva@beta.example", "c_2@resource.calendar.google.com"), EVA, BETA, unresolved=()),
    _S("the room is a contact", meeting("me", "bo@acme.example", rooms=["jan@acme.example"]), BO, ACME),
    _S("an address twice in a meeting", meeting("bo@acme.example", "me", "BO@acme.example", "jan@acme.example"), BO, ACME, (JAN,)),
    _S("the first one declined", with_one(meeting("me", "jan@acme.example"), party("bo@acme.example", Role.ATTENDEE, response="declined")),
       BO, ACME, (JAN,)),
    _S("an event of nobody", meeting("me"), unresolved=()),
    _S("a colleague's meeting with a stranger and a contact", meeting("col@ours.example", "z@zeta.example", "uma@acme.co.uk"), UMA, UK),
    _S("a contact behind a colleague, internal ones included", incoming("col@ours.example", cc=["bo@acme.example"]), BO, ACME,
       ("003-col",), settings=INSIDE),
    _S("an unknown colleague, internal ones included", incoming("dan@ours.example"), settings=INSIDE, unresolved=()),
    _S("a mailbox of a team that is a contact", incoming("sales@beta.example"), "003-sales", BETA, people=(SALES,)),
    _S("one person as two contacts", incoming("bo@acme.example", cc=["bo.home@gmx.example"]), BO, ACME, ("003-home",),
       people=(person("003-home", "Bo Li", "bo.home@gmx.example"),)),
    _S("a blocked one among many", meeting("me", "spy@rival.example", "bo@acme.example"), BO, ACME, unresolved=()),
    # --- which of several records
    _S("two converted leads of one contact", incoming("bo@older.example"), BO, ACME,
       people=(person("00Q-x1", "Bo Li", "bo@older.example", is_converted=True, converted_contact_id=BO),
               person("00Q-x2", "Bo Li", "bo@older.example", is_converted=True, converted_contact_id=BO))),
    _S("two converted leads of two contacts", incoming("us@older.example"), unresolved=(),
       people=(person("00Q-x1", "Bo Li", "us@older.example", is_converted=True, converted_contact_id=BO),
               person("00Q-x2", "Eva Beck", "us@older.example", is_converted=True, converted_contact_id=EVA))),
    _S("a converted lead without contact", incoming("no@older.example"), unresolved=(),
       people=(person("00Q-x1", "No One", "no@older.example", is_converted=True),)),
    _S("a converted lead whose contact is gone, and a living lead", incoming("re@older.example"), "00Q-x2",
       people=(person("00Q-x1", "Re Turn", "re@older.example", is_converted=True, converted_contact_id="003-gone"),
               person("00Q-x2", "Re Turn", "re@older.example"))),
    _S("the domain counts before the owner", incoming("bo@acme.example"), BO, ACME,
       people=(dup("003-z", name="Bo Li", address="bo@acme.example", owner="005-me", active=90),)),
    _S("two names, one at the company of the domain", incoming("Jane <jane@acme.example>"), "003-j1", ACME,
       people=(dup("003-j1", name="Jane Smith", address="jane@acme.example", account=ACME),
               dup("003-j2", name="Jane Jones", address="jane@acme.example", owner="005-me", active=80))),
    _S("two names, one is ours", incoming("info@acme.example"), people=(replace(ANN, owner_id="005-me"), BEN), unresolved=()),
    _S("two names, one was active last", incoming("info@acme.example"), people=(replace(ANN, active_at=day(80)), BEN), unresolved=()),
    _S("the name in small letters", incoming("ben bry <info@acme.example>"), "003-ben", ACME, people=(ANN, BEN)),
    _S("the last name first", incoming("Bry, Ben <info@acme.example>"), "003-ben", ACME, people=(ANN, BEN)),
    _S("a name of neither", incoming("Cleo Cox <info@acme.example>"), people=(ANN, BEN), unresolved=()),
    _S("an initial that only people could read", incoming("B. Bry <info@acme.example>"), "003-ben", ACME, people=(ANN, BEN)),
    _S("names in another order are one name", incoming("dup@gamma.example"), "003-d1", GAMMA,
       people=(dup("003-d1", owner="005-me"), dup("003-d2", name="Dup, Dee"))),
    _S("a record without a name", incoming("dup@gamma.example"), people=(dup("003-d1", owner="005-me"), dup("003-d2", name="")),
       unresolved=()),
    _S("changed last, neither ever active", incoming("dup@gamma.example"), "003-d2", GAMMA,
       people=(dup("003-d1", modified=3), dup("003-d2", modified=4))),
    _S("active on the same day, one changed later", incoming("dup@gamma.example"), "003-d1", GAMMA,
       people=(dup("003-d1", active=9, modified=30), dup("003-d2", active=9, modified=3))),
    _S("both ours, one active last", incoming("dup@gamma.example"), "003-d2", BETA,
       people=(dup("003-d1", owner="005-me", active=3), dup("003-d2", account=BETA, owner="005-me", active=4), dup("003-d3", active=99))),
    _S("twins, one active last", incoming("t@twin.example"), "003-t2", "001-twin2",
       people=(dup("003-t1", account="001-twin1", address="t@twin.example", active=1),
               dup("003-t2", account="001-twin2", address="t@twin.example", active=2))),
    _S("a person account and a contact of a company", incoming("mia.moss@gmail.com"), "003-mia2", BETA,
       people=(dup("003-mia2", account=BETA, name="Mia Moss", address="mia.moss@gmail.com", active=30),)),
    _S("a lead called so, and a contact", incoming("Bob Lee <bo@acme.example>"), BO, ACME,
       people=(person("00Q-bob", "Bob Lee", "bo@acme.example", owner="005-me", active=90),)),
    _S("one of three in doubt, the copy is known", incoming("info@acme.example", cc=["eva@beta.example"]), EVA, BETA,
       people=(ANN, BEN), unresolved=()),
    # --- records
    _S("its account may not be seen", incoming("hid@hidden.example"), "003-hid", people=(HIDDEN,)),
    _S("another owner's is newer", incoming("bo@acme.example"), BO, "006-mine",
       opportunities=(MINE, opportunity("006-n", ACME, owner="005-other", made=50)), settings=OPP),
    _S("a closed one is newer", incoming("bo@acme.example"), BO, "006-mine",
       opportunities=(MINE, opportunity("006-n", ACME, closed=True, made=50)), settings=OPP),
    _S("two of one instant, one has the contact", incoming("bo@acme.example"), BO, "006-b",
       opportunities=(opportunity("006-a", ACME), opportunity("006-b", ACME, roles=(BO,))), settings=OPP),
    _S("two of one instant", incoming("bo@acme.example"), BO, ACME,
       opportunities=(opportunity("006-a", ACME), opportunity("006-b", ACME)), settings=OPP),
    _S("two companies have one each, the newest counts", meeting("me", "bo@acme.example", "eva@beta.example"), BO, "006-beta", (EVA,),
       opportunities=(MINE, opportunity("006-beta", BETA, made=40)), settings=OPP),
    _S("a lead has a copy, the contact's company has one", outgoing("lee@lead.example", cc=["bo@acme.example"]), BO, "006-mine",
       opportunities=(MINE,), settings=OPP),
    _S("the company of a colleague's contact has one", incoming("lone@nowhere.example", cc=["col@ours.example"]), "003-lone", "",
       ("003-col",), opportunities=(opportunity("006-own", "001-ours"),), settings=replace(INSIDE, link_opportunity=True)),
    _S("a contact without account, one in another company", incoming("lone@nowhere.example"), "003-lone", opportunities=(MINE,),
       settings=OPP),
    _S("a stranger's domain has one", incoming("new@acme.example"), "", ACME, opportunities=(MINE,),
       settings=replace(DOMAIN, link_opportunity=True)),
    _S("a person account with an opportunity", incoming("mia.moss@gmail.com"), "003-mia", "006-mia",
       opportunities=(opportunity("006-mia", "001-mia"),), settings=OPP),
    _S("two strangers of one company", outgoing("a@acme.example", "b@acme.example"), "", ACME, settings=DOMAIN),
    _S("strangers of a company and at home", outgoing("a@acme.example", "b@gmail.com"), "", ACME, settings=DOMAIN),
    _S("nobody could be chosen, one company", incoming("info@acme.example"), "", ACME, people=(ANN, BEN), settings=DOMAIN),
    _S("a blocked stranger's domain", incoming("new@rival.example"), settings=DOMAIN),
    _S("a colleague's domain", incoming("dan@ours.example"), settings=replace(DOMAIN, include_internal=True)),
    _S("a list of Google's", incoming("acme@googlegroups.com"), settings=DOMAIN),
    _S("a tenant of Microsoft's", incoming("new@acme.onmicrosoft.com"), settings=DOMAIN),
    # --- many
    _S("fifty contacts", meeting("me", *CROWD_AT[:50]), "003-c00", ACME, tuple(p.id for p in CROWD[1:50]), people=CROWD),
    _S("room for three", meeting("me", *CROWD_AT[:5]), "003-c00", ACME, ("003-c01", "003-c02"), people=CROWD,
       settings=LinkSettings(max_relations=3)),
    _S("room for one", meeting("me", *CROWD_AT[:5]), "003-c00", ACME, people=CROWD, settings=LinkSettings(max_relations=1)),
    _S("a lead among contacts", meeting("me", "bo@acme.example", "lee@lead.example", "jan@acme.example"), BO, ACME, (JAN,),
       out=("lee@lead.example",)),
    _S("a lead without shared activities", meeting("me", "lee@lead.example"), "00Q-lee", settings=ALONE),
    # --- what a person chose
    _S("only one chosen", chose(meeting("me", "bo@acme.example", "jan@acme.example"), others=()), BO, ACME),
    _S("others chosen", chose(meeting("me", "bo@acme.example", "jan@acme.example"), others=(EVA,)), BO, ACME, (EVA,)),
    _S("a lead chosen beside a contact", chose(incoming("bo@acme.example"), others=("00Q-lee", JAN)), BO, ACME, (JAN,)),
    _S("one chosen beside is gone", chose(incoming("bo@acme.example"), others=("003-gone", JAN)), BO, ACME, (JAN,)),
    _S("the main one chosen again beside", chose(incoming("bo@acme.example"), others=(BO, JAN)), BO, ACME, (JAN,)),
    _S("a converted lead chosen", chose(incoming("eva@beta.example"), who="00Q-con"), BO, ACME, (EVA,)),
    _S("a person account chosen", chose(incoming("zed@zeta.example"), who="003-mia"), "003-mia", "001-mia"),
    _S("a person and an opportunity chosen", chose(incoming("bo@acme.example"), who=EVA, what="006-mine"), EVA, "006-mine", (BO,)),
    _S("a record chosen where nobody is known", chose(incoming("zed@zeta.example"), what=BETA), "", BETA),
    _S("no record chosen, one of ours open", chose(incoming("bo@acme.example"), what=""), BO, opportunities=(MINE,), settings=OPP),
    _S("a person chosen whose company has one", chose(incoming("zed@zeta.example"), who=EVA), EVA, "006-beta",
       opportunities=(opportunity("006-beta", BETA),), settings=OPP),
    _S("others chosen, the one left out has the opportunity", chose(incoming("bo@acme.example", cc=["eva@beta.example"]), others=()),
       BO, ACME, opportunities=(opportunity("006-beta", BETA),), settings=OPP),
    _S("nobody and a record chosen", chose(incoming("bo@acme.example"), who="", what=ACME), "", ACME),
    _S("nobody chosen, others all the same", chose(incoming("bo@acme.example"), who="", others=(JAN,))),
    _S("a task with a chosen record", chose(task(), what=GAMMA), "", GAMMA),
    _S("a task with a chosen lead", chose(task(), who="00Q-lia"), "00Q-lia"),
)  # fmt: skip
SITUATIONS = (*HELD_OUT, *TUNED)
