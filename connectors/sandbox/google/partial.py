"""Partial responses: `fields=connections(resourceName,etag),nextPageToken` cuts an answer down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.google.refusal import Refused

DEEPEST = 20
_WORD = re.compile(r"[\w@.-]+|\*|[(),/]")
Tree = dict[str, Any]


def cut(body: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Returns the parts of a body that a selection names. Raises Refused for one that cannot be read."""
    words = _WORD.findall(text)
    if "".join(words) != text.replace(" ", ""):
        raise _bad(text)
    tree, rest = _read(words, text, 0)
    if rest:
        raise _bad(text)
    found = _select(body, tree)
    assert isinstance(found, dict)
    return found


def _bad(text: str) -> Refused:
    return Refused(400, f"Request contains an invalid argument. Invalid field selection {text[:80]}", old_reason="invalidParameter")


def _read(words: list[str], text: str, depth: int) -> tuple[Tree, list[str]]:
    """Returns the tree of `a,b/c,d(e)`, and the words behind it."""
    tree: Tree = {}
    if depth > DEEPEST:
        raise _bad(text)
    while True:
        path: list[str] = []
        while words and words[0] not in "(),/":
            path.append(words[0])
            words = words[1:]
            if not words or words[0] != "/":
                break
            words = words[1:]
        if not path:
            raise _bad(text)
        leaf: Tree = {}
        if words[:1] == ["("]:
            leaf, words = _read(words[1:], text, depth + 1)
            if words[:1] != [")"]:
                raise _bad(text)
            words = words[1:]
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node.setdefault(path[-1], {}).update(leaf)
        if words[:1] != [","]:
            return tree, words
        words = words[1:]


def _select(value: Any, tree: Tree) -> Any:
    if not tree:
        return value
    if isinstance(value, list):
        return [_select(each, tree) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {k: _select(v, tree[k] if k in tree else tree["*"]) for k, v in value.items() if k in tree or "*" in tree}
