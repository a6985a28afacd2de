"""The laws of linking and auto-resolving, whoever takes part and whatever is set."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.core import autoresolve
from reconciliation.core.linking import decide_links
from reconciliation.core.linking_facts import Choice, Item, ItemKind, Known, LinkSettings, Participant, Role, Trigger
from reconciliation.core.linking_needs import needs
from tests.core.linking_situations import ANN, BEN, BETA, MINE
from tests.core.linking_situations_held_out import GUS2
from tests.core.linking_world import ME, PEOPLE, RULES, answered, opportunity

EXAMPLES = settings(max_examples=300, deadline=None)
ROWS, DEALS = (ANN, BEN, GUS2), (MINE, opportunity("006-beta", BETA, made=40))
STRANGERS = ("zed@zeta.example", "new@acme.example", "t@twin.example", "z.z@gmail.com", "no-reply@zeta.example", "info@acme.example")
OURS = ("me@ours.example", "col@ours.example", "dan@mail.ours.example", "m.self@gmail.com")
BLOCKED = ("vip@beta.example", "vip+1@beta.example", "spy@rival.example", "x@mail.blocked.example")
ADDRESSES = st.sampled_from([a for p in PEOPLE for a in p.addresses] + [*STRANGERS, *OURS, *BLOCKED, "", "no address", "bo+x@acme.example"])
IDS = st.sampled_from([*(p.id for p in PEOPLE), "003-gone", "00Q-gone", ""])
PARTICIPANTS = st.builds(
    Participant,
    address=ADDRESSES,
    name=st.sampled_from(["", "Ann Aro", "Zed Zeta", "Sales Team"]),
    role=st.sampled_from(Role),
    is_resource=st.integers(0, 9).map(lambda n: n == 0),
)
CHOICES = st.builds(
    Choice,
    who=st.none() | IDS,
    others=st.none() | st.lists(IDS, max_size=3).map(tuple),
    what=st.none() | st.sampled_from(["", "001-beta", "006-mine"]),
)


NOTHING_CHOSEN = st.just(Choice())


def items(choices=NOTHING_CHOSEN):
    return st.builds(
        Item,
        id=st.sampled_from("abc"),
        kind=st.sampled_from(ItemKind),
        participants=st.lists(PARTICIPANTS, max_size=8).map(tuple),
        is_outgoing=st.booleans(),
        trigger=st.sampled_from(Trigger),
        choice=choices,
    )


SETTINGS = st.builds(
    LinkSettings,
    link_opportunity=st.booleans(),
    shared_activities=st.booleans(),
    max_relations=st.sampled_from([0, 1, 2, 50]),
    include_internal=st.booleans(),
    account_by_domain=st.booleans(),
    save_without_relation=st.booleans(),
)
RESOLVING = st.builds(
    autoresolve.ResolveSettings,
    mode=st.sampled_from(autoresolve.Mode),
    smart=st.booleans(),
    all_recipients=st.booleans(),
    create_accounts=st.booleans(),
    triggers=st.frozensets(st.sampled_from(Trigger)),
)


def decided(item, link):
    known, rounds = answered([item], settings=link, people=ROWS, opportunities=DEALS, new_people=True, new_accounts=True)
    assert rounds <= 5
    return decide_links(item, known, settings=link, rules=RULES, user=ME), known


def resolved(page, link, settings):
    known, _ = answered(page, settings=link, people=ROWS, opportunities=DEALS, new_people=True, new_accounts=True)
    asked = [autoresolve.Request(i, decide_links(i, known, settings=link, rules=RULES, user=ME)) for i in page]
    return autoresolve.decide(
        asked, known, settings=settings, rules=RULES, user=ME, read_name=lambda name, _: (name, name) if name else None
    )


def read_name(name, _):
    return (name, name) if name else None


def addresses_of(ids):
    held = {p.id: p.addresses for p in (*PEOPLE, *ROWS)}
    return {a for id in ids for a in held.get(id, ())}


@EXAMPLES
@given(items(CHOICES), SETTINGS)
def test_salesforce_takes_what_is_linked(item, link):
    links, _ = decided(item, link)

    ids = [links.who, *(r.id for r in links.others)]
    assert len(ids) == len(set(ids)) <= max(link.max_relations, 1)
    assert not links.others or (links.who and link.shared_activities)
    assert not any(r.is_lead for r in links.others)
    if links.who.startswith("00Q"):
        assert not links.others and not links.what
    assert {i for i in ids if i} <= {r.id for r in links.found}


@EXAMPLES
@given(items(), SETTINGS)
def test_blocked_and_internal_people_are_never_linked(item, link):
    links, known = decided(item, link)

    linked = addresses_of([links.who, *(r.id for r in links.others), *(r.id for r in links.found)])
    refused = {*BLOCKED, "me@ours.example", "m.self@gmail.com"} | (set() if link.include_internal else set(OURS))
    assert not linked & refused
    assert not (set(links.unresolved) | set(known.people)) & refused


@EXAMPLES
@given(st.lists(items(CHOICES), max_size=4), SETTINGS, RESOLVING)
def test_nobody_is_made_of_a_refused_address_nor_twice(page, link, resolving):
    people = resolved(page, link, resolving).people

    keys = [p.key for p in people]
    assert len(keys) == len(set(keys))
    assert not set(keys) & {*BLOCKED, *OURS, "vip@beta.example", "no-reply@zeta.example"}
    assert not set(keys) & {a for p in (*PEOPLE, *ROWS) for a in p.addresses}
    assert all(p.fields["LastName"] for p in people)
    assert all(p.fields.get("Company") for p in people if p.kind == "Lead")
    assert not [p for p in people if p.key.endswith("@gmail.com") and p.account]
    assert not people or resolving.mode != "off"


def _is_main(participant, main):
    return RULES.key(participant.address) == main.address and participant.role is main.role and not participant.is_resource


@EXAMPLES
@given(items(), SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_those_behind_the_main_person_does_not_matter(item, link, random):
    links, _ = decided(item, link)
    main = links.found[0] if links.found else None
    # An address may stand there twice, as a room, too: the main person is the one that counts.
    first = next((n for n, p in enumerate(item.participants) if main is not None and _is_main(p, main)), 0)
    rest = [p for n, p in enumerate(item.participants) if n > first]
    random.shuffle(rest)

    mixed, _ = decided(replace(item, participants=(*item.participants[: first + 1], *rest)), replace(link, max_relations=50))
    whole, _ = decided(item, replace(link, max_relations=50))
    by_role = {r.role for r in links.found}
    if len(by_role) <= 1:  # a mail's copies stand behind its recipients in any order
        assert mixed.who == whole.who and mixed.what == whole.what
        assert {r.id for r in mixed.found} == {r.id for r in whole.found}
    assert set(mixed.unresolved) == set(whole.unresolved)


@EXAMPLES
@given(items(CHOICES), SETTINGS)
def test_the_order_in_which_records_are_found_does_not_matter(item, link):
    links, known = decided(item, link)
    backwards = replace(
        known,
        people={key: rows[::-1] for key, rows in reversed(known.people.items())},
        by_domain={d: rows[::-1] for d, rows in known.by_domain.items()},
        opportunities={a: rows[::-1] for a, rows in known.opportunities.items()},
    )

    again = decide_links(item, backwards, settings=link, rules=RULES, user=ME)

    assert (again.who, again.what, again.others, again.unresolved) == (links.who, links.what, links.others, links.unresolved)


@EXAMPLES
@given(items(CHOICES), SETTINGS, st.text(max_size=60), st.text(max_size=60))
def test_nothing_raises_and_the_same_is_decided_again(item, link, address, name):
    item = replace(item, participants=(Participant(f"{address}@{name}", name), Participant(address, name), *item.participants))
    empty = Known()

    assert needs([item], empty, settings=link, rules=RULES, user=ME).domains == {}
    assert decide_links(item, empty, settings=link, rules=RULES, user=ME) == decide_links(item, empty, settings=link, rules=RULES, user=ME)
    links, known = decided(item, link)
    assert links == decide_links(item, known, settings=link, rules=RULES, user=ME)
    assert all(step.endswith(".") for step in links.steps)


@EXAMPLES
@given(items(), SETTINGS, RESOLVING)
def test_the_item_names_whom_it_made(item, link, resolving):
    made = resolved([item], link, resolving).people
    known, _ = answered([item], settings=link, people=ROWS, opportunities=DEALS, new_people=True, new_accounts=True)
    new = {p.key: replace(PEOPLE[0], id=f"{'00Q' if p.kind == 'Lead' else '003'}-{n}", account_id="", name="") for n, p in enumerate(made)}

    links = decide_links(item, autoresolve.known_with(known, new), settings=link, rules=RULES, user=ME)

    assert {p.id for p in new.values()} <= {r.id for r in links.found}
    assert {p.key for p in made}.isdisjoint(links.unresolved)
