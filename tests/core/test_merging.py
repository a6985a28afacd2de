"""The merge field by field, by example: who wins, what is left out and why. The laws are in test_merging_laws.py."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciliation.core.mapping import Direction, FieldRule, Mapping, Survivorship
from reconciliation.core.merging import SideState, changed_fields, merge_fields, values_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BOTH = {"direction": Direction.BOTH}


def merged(rule, crm, peer, *, users=None, **options):
    """Merges one field; a side is (base, now) or a SideState."""
    sides = [
        side if isinstance(side, SideState) else SideState({name: side[0]}, {name: side[1]})
        for side, name in ((crm, rule.crm), (peer, rule.peer))
    ]
    return merge_fields(Mapping(1, (rule,)), crm=sides[0], peer=sides[1], users=users or {}, **options)


def rule(**options):
    return FieldRule(1, "c", "p", **options)


def collision(survivorship, crm_at, peer_at):
    crm = SideState({"c": "old"}, {"c": "ours"}, crm_at)
    peer = SideState({"p": "old"}, {"p": "theirs"}, peer_at)
    return merged(rule(survivorship=survivorship, **BOTH), crm, peer)


@pytest.mark.parametrize(
    ("lead", "to_peer", "to_crm"),
    [(61, {"p": "ours"}, {}), (60, {}, {}), (0, {}, {}), (-60, {}, {}), (-61, {}, {"c": "theirs"})],
)
def test_the_later_edit_wins_if_it_is_later_by_more_than_the_margin(lead, to_peer, to_crm):
    merge = collision(Survivorship.LATEST, NOON + timedelta(seconds=lead), NOON)

    assert (values_of(merge.to_peer), values_of(merge.to_crm)) == (to_peer, to_crm)
    assert [(c.crm_value, c.peer_value) for c in merge.conflicts] == ([] if to_peer or to_crm else [("ours", "theirs")])


@pytest.mark.parametrize(
    ("survivorship", "to_peer", "to_crm"),
    [(Survivorship.CRM, {"p": "ours"}, {}), (Survivorship.PEER, {}, {"c": "theirs"}), (Survivorship.ASK, {}, {})],
)
def test_a_rule_may_name_the_winner_or_ask_whatever_the_times(survivorship, to_peer, to_crm):
    for crm_at, peer_at in ((NOON, NOON - timedelta(hours=1)), (NOON - timedelta(hours=1), NOON), (None, None)):
        merge = collision(survivorship, crm_at, peer_at)

        assert (values_of(merge.to_peer), values_of(merge.to_crm)) == (to_peer, to_crm)
        assert bool(merge.conflicts) is (survivorship is Survivorship.ASK)


@pytest.mark.parametrize(("crm_at", "peer_at"), [(None, NOON), (NOON, None)])
def test_without_both_times_nobody_is_later(crm_at, peer_at):
    assert len(collision(Survivorship.LATEST, crm_at, peer_at).conflicts) == 1


def test_what_loses_is_kept_with_the_write_and_a_plain_copy_has_no_loser():
    (won,) = collision(Survivorship.CRM, NOON, NOON).to_peer.values()
    (plain,) = merged(rule(), ("old", "new"), ("old", "old")).to_peer.values()

    assert (won.value, won.before, won.loser, won.has_loser) == ("ours", "theirs", "theirs", True)
    assert (plain.value, plain.before, plain.loser, plain.has_loser) == ("new", "old", None, False)


def test_the_same_edit_on_both_sides_is_no_collision():
    merge = merged(rule(transform="integer", survivorship=Survivorship.ASK, **BOTH), ("1", "1,200"), (1, 1200))

    assert merge.is_quiet


def test_what_the_peers_users_typed_under_a_one_way_rule_is_theirs_until_the_crm_changes():
    assert merged(rule(), ("old", "old"), ("old", "typed there")).is_quiet
    assert values_of(merged(rule(), ("old", "new"), ("old", "typed there")).to_peer) == {"p": "new"}
    assert merged(rule(direction=Direction.TO_CRM), ("old", "new"), ("old", "old")).is_quiet


def test_a_field_that_the_base_never_held_and_a_rule_with_a_new_meaning_count_as_changed():
    unknown = SideState({}, {"c": "ours"})
    assert values_of(merged(rule(), unknown, ("old", "old")).to_peer) == {"p": "ours"}
    assert changed_fields({"a": 1}, {"a": 1, "b": 2}, ("a", "b")) == ("b",)

    same = (("ours", "ours"), ("theirs", "theirs"))
    assert merged(rule(), *same).is_quiet
    assert values_of(merged(rule(), *same, fresh={1}).to_peer) == {"p": "ours"}
    assert merged(rule(direction=Direction.TO_CRM), *same, fresh={1}).to_crm["c"].value == "theirs"
    assert merged(rule(), *same, fresh={2}).is_quiet


@pytest.mark.parametrize("blank", [None, "", "  ", ()])
@pytest.mark.parametrize("overrides", [True, False])
def test_a_blank_overrides_only_where_the_rule_of_that_direction_says_so(blank, overrides):
    to_peer = merged(rule(blank_to_peer=overrides, blank_to_crm=not overrides, **BOTH), ("old", blank), ("old", "old"))
    to_crm = merged(rule(blank_to_peer=not overrides, blank_to_crm=overrides, **BOTH), ("old", "old"), ("old", blank))

    for merge, writes in ((to_peer, to_peer.to_peer), (to_crm, to_crm.to_crm)):
        assert [write.value for write in writes.values()] == ([None] if overrides else [])
        assert len(merge.held_blanks) == (not overrides)


@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize(("length", "is_sent"), [(10, True), (11, False)])
def test_a_text_fits_or_is_left_out_and_said(length, is_sent, is_required):
    merge = merged(rule(max_length=10, is_required=is_required), ("", "x" * length), ("", ""))

    assert bool(merge.to_peer) is is_sent
    assert [w.is_fatal for w in merge.warnings] == ([] if is_sent else [is_required])
    assert is_sent or merge.warnings[0].sentence == "c has 11 characters, p takes 10; it was left out"


def test_what_cannot_be_stored_or_converted_is_left_out_and_said_and_is_fatal_where_it_is_needed():
    damaged = SideState({"c": "old"}, {"c": "a\ufffd"}, damaged=frozenset({"c"}))
    lost = merged(rule(is_required=True), damaged, ("old", "old"))
    odd = merged(rule(transform="integer"), ("1", "many"), (1, 1))

    assert lost.is_quiet and odd.is_quiet
    assert [(w.is_fatal, w.sentence) for w in lost.warnings] == [(True, "c holds characters that cannot be stored; it was left out")]
    assert [(w.is_fatal, w.sentence) for w in odd.warnings] == [(False, "c: 'many' is not a number; it was left out")]


def test_damage_on_one_side_does_not_keep_the_other_sides_edit_out():
    damaged = SideState({"c": "a\ufffd"}, {"c": "a\ufffd"}, damaged=frozenset({"c"}))

    assert values_of(merged(rule(**BOTH), damaged, ("old", "typed there")).to_crm) == {"c": "typed there"}


def test_an_owner_who_is_nobody_there_is_listed_and_clears_nothing():
    owner = rule(transform="user by username")

    merge = merged(owner, ("Jane", "Nobody"), ("7", "7"), users={"Jane": "7"})

    assert merge.is_quiet and merge.unmatched == [(owner, "Nobody")]
    assert values_of(merged(owner, ("Nobody", "Jane"), (None, None), users={"Jane": "7"}).to_peer) == {"p": "7"}
