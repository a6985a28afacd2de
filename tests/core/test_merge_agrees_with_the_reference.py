"""The merge against a plain model of it (tests/core/reference_merge.py), over every combination of what a row can say and
what can have happened to a field, and the laws of the merge over the same situations."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from reconciliation.core.mapping import Direction, FieldRule, Mapping, Survivorship
from reconciliation.core.merging import SideState, merge_fields, values_of
from tests.core.reference_merge import NEVER, NOTHING, Field, Outcome, agree, blank, equal, reference_merge

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
USERS = (("005A", "11"), ("005B", "12"))
WORDS = (("Hot", "warm"), ("Cold", "cool"))
YES = (("Opted out", "yes"), ("Welcome", "no"))
LISTS = [("a@x.example", ("a@x.example",)), ("b@x.example", ("b@x.example", "c@x.example"))]
LIKE_LISTS = [("A@X.example", ("a@x.example", "d@x.example")), (" a@x.example", ("A@x.example",))]
STRANGE_LISTS = [("e@x.example", ("f@x.example", "e@x.example"))]
# conversion, pairs, then values of the CRM and of the peer that belong together, the same one in another form, and strangers.
WORLDS = {
    "text": ("same", (), [("a", "a"), ("b", "b"), ("long text", "long text")], [(" ", None), ("", "")], [("z", "y")]),
    "number": ("same", (), [(1, 1), (2, 2.0)], [(1.0, 1), (True, 1)], [(7, 8)]),
    "yes or no": ("same", (), [(True, True), (False, False)], [(1, True), (None, "")], [("yes", 0)]),
    "list": ("first of list", (), LISTS, LIKE_LISTS, STRANGE_LISTS),
    "map": ("value map", WORDS, [("Hot", "warm"), ("Cold", "cool")], [("", " ")], [("Tepid", "hot")]),
    "yes in words": ("value map", YES, [("Opted out", True), ("Welcome", False)], [(None, None)], [("Tepid", "hot")]),
    "user": ("user by user mapping", (), [("005A", "11"), ("005B", "12")], [("", None)], [("005X", "99")]),
    "one way": ("integer", (), [("1", 1), (" 2", 2)], [("01", 1), ("1", 1.0)], [("many", 9)]),
}
HAPPENED = (
    "unchanged",
    "edited",
    "blanked",
    "reformatted",
    "strange",
    "never agreed",
    "never agreed, blank",
    "was blank",
    "differed",
    "stranger replaced",
)
TIMES = ((None, 0), (0, None), (0, 0), (60, 0), (0, 60), (61, 0), (0, 61), (3600, 0), (0, 3600))
FLAGS = list(product((False, True), repeat=2))
DAMAGED = ((False, False),) * 6 + ((True, False), (False, True), (True, True))
MIRROR = {"to_peer": "to_crm", "to_crm": "to_peer", "crm": "peer", "peer": "crm"}


def at(seconds):
    return None if seconds is None else NOON + timedelta(seconds=seconds)


def side(chance, happened, index, world):
    """Returns base and present value of one side (0 the CRM's, 1 the peer's) after what happened to it; pair 0 was agreed."""
    _, _, pairs, forms, strangers = world
    agreed, other = pairs[0][index], chance.choice(pairs[1:])[index]
    return {
        "unchanged": (agreed, agreed),
        "edited": (agreed, other),
        "blanked": (agreed, chance.choice([None, "", "  "])),
        "reformatted": (agreed, chance.choice(forms)[index]),
        "strange": (agreed, chance.choice(strangers)[index]),
        "never agreed": (NEVER, chance.choice(pairs)[index]),
        "never agreed, blank": (NEVER, None),
        "was blank": (None, chance.choice(pairs)[index]),
        "differed": (other, other),
        "stranger replaced": (chance.choice(strangers)[index], chance.choice(pairs)[index]),
    }[happened]


def situations():
    """Yields every direction x winner x happening on either side x world, with the rest drawn; the same ones in every run."""
    chance = random.Random(20260302)
    ways, winners = [d.value for d in Direction], [s.value for s in Survivorship]
    for direction, winner, crm_did, peer_did, name in product(ways, winners, HAPPENED, HAPPENED, WORLDS):
        if winner == "restrictive" and WORLDS[name][0] != "same":
            continue  # consent is yes or no on both sides; a row that converts it is refused when it is saved
        for _ in range(2):
            world = WORLDS[name]
            (crm_base, crm_now), (peer_base, peer_now) = side(chance, crm_did, 0, world), side(chance, peer_did, 1, world)
            crm_at, peer_at = chance.choice(TIMES)
            blank_to_peer, blank_to_crm = chance.choice(FLAGS)
            crm_damaged, peer_damaged = chance.choice(DAMAGED)
            most = chance.choice([0, 0, 0, 4, 5, 9])  # words of just so many characters are among the values
            yield Field(
                direction, winner, crm_base, crm_now, peer_base, peer_now, blank_to_peer, blank_to_crm, world[0], world[1], USERS,
                at(crm_at), at(peer_at), crm_damaged and isinstance(crm_now, str), peer_damaged and isinstance(peer_now, str), most, most,
            )  # fmt: skip


ALL = list(situations())


def rule_of(field, number=1):
    return FieldRule(
        number,
        f"c{number}",
        f"p{number}",
        Direction(field.direction),
        field.conversion,
        Survivorship(field.winner),
        blank_to_peer=field.blank_to_peer,
        blank_to_crm=field.blank_to_crm,
        value_map=field.pairs,
        max_length=field.most_in_peer,
        max_length_in_crm=field.most_in_crm,
    )


def states(*fields):
    """Returns both sides of one record with these fields, c1/p1 onwards, and one field each that no rule names."""
    crm_base, crm_now, peer_base, peer_now = {}, {"unmapped": "mine"}, {}, {"unmapped": "yours"}
    damaged_crm, damaged_peer = set(), set()
    for number, f in enumerate(fields, 1):
        crm, peer = f"c{number}", f"p{number}"
        crm_now[crm], peer_now[peer] = f.crm_now, f.peer_now
        crm_base |= {} if f.crm_base == NEVER else {crm: f.crm_base}
        peer_base |= {} if f.peer_base == NEVER else {peer: f.peer_base}
        damaged_crm |= {crm} if f.crm_damaged else set()
        damaged_peer |= {peer} if f.peer_damaged else set()
    one = fields[0]
    return (
        SideState(crm_base, crm_now, one.crm_at, frozenset(damaged_crm)),
        SideState(peer_base, peer_now, one.peer_at, frozenset(damaged_peer)),
    )


def merged(*fields):
    crm, peer = states(*fields)
    mapping = Mapping(1, tuple(rule_of(f, n) for n, f in enumerate(fields, 1)))
    return merge_fields(mapping, crm=crm, peer=peer, users=dict(USERS))


def product_says(field):
    """Returns the product's merge of one field in the words of the model; more than one outcome is a fault."""
    merge = merged(field)
    found = [Outcome("write", w.side, w.value, w.has_loser, w.loser) for w in (*merge.to_peer.values(), *merge.to_crm.values())]
    found += [Outcome("conflict") for _ in merge.conflicts] + [Outcome("held blank") for _ in merge.held_blanks]
    found += [Outcome("left out") for _ in merge.warnings] + [Outcome("unmatched") for _ in merge.unmatched]
    assert len(found) < 2, f"one field, several outcomes: {found}"
    return found[0] if found else NOTHING


def applied(field):
    """Returns the field after its plan was carried out: what is written stands there, and is the next base on both sides; the
    base of a conflict stays."""
    done = product_says(field)
    if done.what == "conflict":
        return field
    if done.what == "write":
        field = replace(field, **{f"{done.to}_now": done.value})
    return replace(field, crm_base=field.crm_now, peer_base=field.peer_now)


def test_there_are_enough_situations_and_every_outcome_is_among_them():
    said = Counter((reference_merge(f).what, reference_merge(f).to) for f in ALL)

    assert len(ALL) >= 5000
    assert set(said) >= {
        ("write", "peer"),
        ("write", "crm"),
        *((n, "") for n in ("nothing", "conflict", "held blank", "left out", "unmatched")),
    }
    assert min(said.values()) >= 50, said
    assert sum(reference_merge(f).has_loser for f in ALL) >= 500


def test_s3_3_to_s3_12_the_merge_does_what_the_model_says_in_every_situation():
    wrong = [(f, product_says(f), reference_merge(f)) for f in ALL if product_says(f) != reference_merge(f)]

    assert not wrong, f"{len(wrong)} of {len(ALL)} differ, first: {wrong[0]}"


# The laws of the merge (design section 5), over the same situations.


def test_s3_13_after_a_plan_is_applied_the_next_one_writes_nothing_and_asks_the_same():
    for field in ALL:
        done, again = product_says(field), product_says(applied(field))
        assert again.what != "write", f"{field}: {done}, then {again}"
        assert (again.what == "conflict") is (done.what == "conflict"), f"{field}: {done}, then {again}"


def test_the_same_situation_is_always_answered_alike():
    assert all(product_says(f) == product_says(f) for f in ALL[::7])


def test_swapping_sides_mirrors_the_outcome():
    alike = [f for f in ALL if f.conversion == "same"]
    assert len(alike) >= 5000
    for f in alike:
        mirrored = Field(
            MIRROR.get(f.direction, f.direction), MIRROR.get(f.winner, f.winner), f.peer_base, f.peer_now, f.crm_base, f.crm_now,
            f.blank_to_crm, f.blank_to_peer, f.conversion, f.pairs, f.users, f.peer_at, f.crm_at, f.peer_damaged, f.crm_damaged,
            f.most_in_crm, f.most_in_peer,
        )  # fmt: skip
        said = product_says(f)
        assert product_says(mirrored) == replace(said, to=MIRROR.get(said.to, said.to)), f


def test_s3_5_fields_are_merged_each_for_itself_and_edits_of_different_fields_both_survive():
    chance = random.Random(3)
    both = 0
    for _ in range(5000):
        one, two = chance.sample(ALL, 2)
        two = replace(two, crm_at=one.crm_at, peer_at=one.peer_at)  # one record, one time a side
        merge = merged(one, two)
        wanted = [(n, o) for n, f in enumerate((one, two), 1) if (o := reference_merge(f)).what == "write"]
        assert values_of(merge.to_peer) == {f"p{n}": o.value for n, o in wanted if o.to == "peer"}
        assert values_of(merge.to_crm) == {f"c{n}": o.value for n, o in wanted if o.to == "crm"}
        both += bool(merge.to_peer and merge.to_crm)
    assert both >= 50


def test_s3_6_s3_7_no_equal_value_is_written_and_no_field_that_no_rule_names():
    for field in ALL:
        merge = merged(field)
        assert set(merge.to_peer) <= {"p1"} and set(merge.to_crm) <= {"c1"}
        assert not any(equal(w.value, w.before) for w in (*merge.to_peer.values(), *merge.to_crm.values())), field


def test_s3_9_a_field_never_flows_against_its_direction_nor_at_all_where_it_has_none():
    for field in ALL:
        to = product_says(field).to
        assert not to or field.direction in ("both", f"to_{to}"), field


@pytest.mark.parametrize("side", ["crm", "peer"])
def test_s3_11_d30_a_blank_overwrites_only_where_the_row_says_so_and_one_held_back_is_never_refilled(side):
    for field in ALL:
        done = product_says(field)
        if done.what == "write" and done.to == side and blank(done.value):
            assert field.blank_to_crm if side == "crm" else field.blank_to_peer, field
        if done.what == "held blank":
            assert product_says(applied(field)) == NOTHING, field


def test_d10_changes_within_a_minute_or_of_unknown_time_are_asked_and_written_nowhere():
    asked = [f for f in ALL if product_says(f).what == "conflict" and f.winner == "latest"]

    assert len(asked) >= 100
    for f in asked:
        assert None in (f.crm_at, f.peer_at) or abs((f.crm_at - f.peer_at).total_seconds()) <= 60
        assert not agree(f) and f.direction == "both"


def test_consent_is_never_taken_back_by_a_merge():
    for field in ALL:
        after = applied(field)
        if field.winner == "restrictive":
            assert after.crm_now is True or field.crm_now is not True
            assert after.peer_now is True or field.peer_now is not True
            if field.direction == "both" and True in (field.crm_now is True, field.peer_now is True):
                assert after.crm_now is True and after.peer_now is True


def test_s3_12_who_overwrites_an_edit_of_the_other_side_keeps_it():
    for field in ALL:
        done = product_says(field)
        base, now = (field.peer_base, field.peer_now) if done.to == "peer" else (field.crm_base, field.crm_now)
        if done.what == "write" and NEVER not in (field.crm_base, field.peer_base) and not equal(base, now):
            assert done.has_loser and repr(done.loser) == repr(now), field
