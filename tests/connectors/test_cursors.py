"""Cursors as texts: what is read back is what was kept, and nothing that was not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from connectors.cursors import KeptCursor, read_kept


@dataclass(frozen=True, slots=True)
class Half:
    link: str = ""
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    folder: str
    halves: Mapping[str, Half]
    size: int = 100
    lists: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)


FULL = Cursor("F", {"ours": Half("/l", True), "others": Half()}, 7, ("a", "b"), {"L": "Übung"})


def test_what_is_read_back_is_what_was_kept():
    assert read_kept(Cursor, FULL.text()) == FULL


def test_a_field_that_was_added_later_has_its_default():
    assert read_kept(Cursor, '{"v":1,"folder":"F","halves":{"ours":{}}}') == Cursor("F", {"ours": Half()})


@pytest.mark.parametrize("text", ["", "x", "{}", "[]", "null", "5", '"v"', '{"v":1}', '{"v":1,"folder":"F"}', "[" * 9999, FULL.text()[:-1]])
def test_a_text_that_is_none_of_ours_is_no_cursor(text):
    assert read_kept(Cursor, text) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2),
        ("folder", None),
        ("size", True),
        ("size", "7"),
        ("size", 7.0),
        ("lists", "ab"),
        ("lists", [1]),
        ("names", {"L": None}),
        ("halves", []),
        ("halves", {"ours": {"is_done": 1}}),
        ("halves", {"ours": {"at": ""}}),
        ("halves", {"ours": "/l"}),
        ("extra", 1),
        ("version", 3),
    ],
)
def test_a_value_of_another_kind_makes_it_none_of_ours(name, value):
    assert read_kept(Cursor, json.dumps({**json.loads(FULL.text()), name: value})) is None


def test_what_is_written_in_another_form_is_read_by_it():
    text = Cursor("F", {}).written({"where": "F"})

    assert read_kept(Cursor, text, lambda said: {"folder": said["where"], "halves": {}}) == Cursor("F", {})
    assert read_kept(Cursor, text, lambda said: {"folder": said["here"], "halves": {}}) is None
