"""Writes of a mailbox of which some bring a contact into our folder."""

from __future__ import annotations

from connectors.contract import Record, Ref, Write, WriteResult
from connectors.errors import Rejected
from connectors.mailboxes import CONTACT, FOREIGN_ID, INSIDE, PLACE, write_or_bring_in


def update(id_: str, **fields: str) -> Write:
    return Write(CONTACT, fields, "the same key", ref=Ref("x", CONTACT, id_))


def test_moves_and_writes_come_back_in_the_order_they_were_given():
    """Also where their keys are the same: results are told by their place."""
    sent: list[str] = []

    def write(writes):
        sent.extend(one.ref.id for one in writes)
        return [WriteResult(one.key, record=Record(one.ref, {})) for one in writes]

    def bring_in(id_, marker):
        if id_ == "bad":
            raise Rejected("no")
        return Record(Ref("x", CONTACT, f"new-{id_}"), {FOREIGN_ID: marker})

    move = {PLACE: INSIDE, FOREIGN_ID: "003"}
    results = write_or_bring_in([update("a"), update("b", **move), update("bad", **move), update("c")], write, bring_in)

    assert sent == ["a", "c"]
    assert [r.record.ref.id if r.record else type(r.error) for r in results] == ["a", "new-b", Rejected, "c"]
    assert results[1].record.fields[FOREIGN_ID] == "003"


def test_without_anything_to_write_nothing_is_called():
    assert write_or_bring_in([], lambda writes: 1 / 0, lambda id_, marker: 1 / 0) == []
