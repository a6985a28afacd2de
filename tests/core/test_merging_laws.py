"""The laws of the merge (design section 5), for every direction, survivorship and blank rule."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.core.mapping import Direction, FieldRule, Mapping, Survivorship
from reconciliation.core.merging import SideState, merge_fields, values_of
from reconciliation.core.values import is_same

EXAMPLES = settings(max_examples=2000, deadline=None)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
VALUES = st.sampled_from([None, "", "a", "b", "c", 1, 2, True, False])
TIMES = st.one_of(st.none(), st.integers(-300, 300).map(lambda s: NOON + timedelta(seconds=s)))
MIRROR = {Direction.TO_PEER: Direction.TO_CRM, Direction.TO_CRM: Direction.TO_PEER} | {d: d for d in (Direction.BOTH, Direction.NONE)}
SWAPPED = {Survivorship.CRM: Survivorship.PEER, Survivorship.PEER: Survivorship.CRM}


@st.composite
def situations(draw):
    """A mapping of up to four rules and both sides, each perturbed from one base."""
    rules, crm_base, crm_now, peer_base, peer_now = [], {}, {}, {}, {}
    for n in range(draw(st.integers(1, 4))):
        rules.append(
            FieldRule(
                n,
                f"c{n}",
                f"p{n}",
                draw(st.sampled_from(list(Direction))),
                survivorship=draw(st.sampled_from(list(Survivorship))),
                blank_to_peer=draw(st.booleans()),
                blank_to_crm=draw(st.booleans()),
            )
        )
        crm_base[f"c{n}"] = peer_base[f"p{n}"] = draw(VALUES)
        crm_now[f"c{n}"] = draw(VALUES) if draw(st.booleans()) else crm_base[f"c{n}"]
        peer_now[f"p{n}"] = draw(VALUES) if draw(st.booleans()) else peer_base[f"p{n}"]
    crm_now["unmapped"] = peer_now["unmapped"] = "mine"
    crm = SideState(crm_base, crm_now, draw(TIMES))
    peer = SideState(peer_base, peer_now, draw(TIMES))
    return Mapping(1, tuple(rules)), crm, peer


def merged(mapping, crm, peer):
    return merge_fields(mapping, crm=crm, peer=peer, users={})


def applied(mapping, crm, peer):
    """Returns both sides after the plan was carried out, with bases taken from what each holds then."""
    plan = merged(mapping, crm, peer)
    crm_now, peer_now = {**crm.now, **values_of(plan.to_crm)}, {**peer.now, **values_of(plan.to_peer)}
    held = {c.rule.id for c in plan.conflicts}
    crm_base = {r.crm: (crm.base if r.id in held else crm_now).get(r.crm) for r in mapping.rules}
    peer_base = {r.peer: (peer.base if r.id in held else peer_now).get(r.peer) for r in mapping.rules}
    return SideState(crm_base, crm_now, crm.changed_at), SideState(peer_base, peer_now, peer.changed_at), plan


@EXAMPLES
@given(situations())
def test_after_a_plan_is_applied_the_next_plan_is_empty(situation):
    mapping, crm, peer = situation
    crm_after, peer_after, plan = applied(mapping, crm, peer)

    again = merged(mapping, crm_after, peer_after)

    assert not again.to_crm and not again.to_peer
    assert {c.rule.id for c in again.conflicts} == {c.rule.id for c in plan.conflicts}


@EXAMPLES
@given(situations())
def test_swapping_sides_mirrors_the_result(situation):
    mapping, crm, peer = situation
    rules = tuple(
        FieldRule(
            r.id,
            r.peer,
            r.crm,
            MIRROR[r.direction],
            survivorship=SWAPPED.get(r.survivorship, r.survivorship),
            blank_to_peer=r.blank_to_crm,
            blank_to_crm=r.blank_to_peer,
        )
        for r in mapping.rules
    )

    straight, mirrored = merged(mapping, crm, peer), merged(Mapping(1, rules), peer, crm)

    assert values_of(straight.to_peer) == values_of(mirrored.to_crm)
    assert values_of(straight.to_crm) == values_of(mirrored.to_peer)
    assert {c.rule.id for c in straight.conflicts} == {c.rule.id for c in mirrored.conflicts}


@EXAMPLES
@given(situations())
def test_edits_of_different_fields_on_both_sides_both_survive(situation):
    mapping, crm, peer = situation
    crm_after, peer_after, plan = applied(mapping, crm, peer)

    for rule in mapping.rules:
        crm_edit = not is_same(crm.base[rule.crm], crm.now[rule.crm])
        peer_edit = not is_same(peer.base[rule.peer], peer.now[rule.peer])
        held = rule in plan.held_blanks or rule.survivorship is Survivorship.RESTRICTIVE  # a no never goes across
        if crm_edit and not peer_edit and rule.flows_to_peer and not held:
            assert is_same(peer_after.now[rule.peer], crm.now[rule.crm])
        if peer_edit and not crm_edit and rule.flows_to_crm and not held:
            assert is_same(crm_after.now[rule.crm], peer.now[rule.peer])


@EXAMPLES
@given(situations())
def test_a_yes_of_a_consent_field_is_never_taken_back_and_reaches_the_other_side_where_the_field_flows(situation):
    mapping, crm, peer = situation
    crm_after, peer_after, _ = applied(mapping, crm, peer)

    for rule in mapping.rules:
        if rule.survivorship is not Survivorship.RESTRICTIVE:
            continue
        on_crm, on_peer = crm.now[rule.crm] is True, peer.now[rule.peer] is True
        assert (crm_after.now[rule.crm] is True) is (on_crm or (on_peer and rule.flows_to_crm))
        assert (peer_after.now[rule.peer] is True) is (on_peer or (on_crm and rule.flows_to_peer))


@EXAMPLES
@given(situations())
def test_no_field_outside_the_mapping_is_touched_and_none_is_sent_unchanged(situation):
    mapping, crm, peer = situation
    plan = merged(mapping, crm, peer)

    assert set(plan.to_peer) <= set(mapping.peer_fields) and set(plan.to_crm) <= set(mapping.crm_fields)
    assert not any(is_same(write.value, peer.now.get(name)) for name, write in plan.to_peer.items())
    assert not any(is_same(write.value, crm.now.get(name)) for name, write in plan.to_crm.items())


@EXAMPLES
@given(situations())
def test_what_loses_is_kept_with_the_write_that_replaced_it(situation):
    mapping, crm, peer = situation
    plan = merged(mapping, crm, peer)

    for write in [*plan.to_peer.values(), *plan.to_crm.values()]:
        now = peer.now if write.side == "peer" else crm.now
        assert write.before == now.get(write.name)
