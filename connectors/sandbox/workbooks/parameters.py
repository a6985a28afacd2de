"""Reads the parameters of list reads and changes: filters, window, sort, and the square arrays of a PUT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.workbooks import query
from connectors.sandbox.workbooks.bodies import Pairs
from connectors.sandbox.workbooks.metadata import Column
from connectors.sandbox.workbooks.query import BadFilter, FilterTest, Node

ROWS_A_PAGE = 100


def tree(pairs: Pairs) -> Node:
    """Returns the filter of a request as a tree; no filter selects everything."""
    fields = [v for k, v in pairs if k in ("_ff[]", "_ff")]
    types = [v for k, v in pairs if k in ("_ft[]", "_ft")]
    criteria = [v for k, v in pairs if k in ("_fc[]", "_fc")]
    if not len(fields) == len(types) == len(criteria):
        raise BadFilter("_ff, _ft and _fc must come in groups")
    tests = [FilterTest(f, t, c) for f, t, c in zip(fields, types, criteria, strict=True)]
    for key, value in pairs:
        if key == "_filter_json":
            tests += query.read_filter_json(value)
    expression = next((v for k, v in pairs if k in ("_fm", "_fm[]")), "and")
    if not tests:
        return Node("AND")
    return query.parse_expression(expression, tests)


def window(pairs: Pairs) -> tuple[int, int]:
    """Returns start and limit: `_limit` is ignored unless `_start` is present; a page has at most a hundred rows."""
    given = dict(pairs)
    if "_start" not in given:
        return 0, ROWS_A_PAGE
    try:
        return max(0, int(given["_start"])), max(0, min(ROWS_A_PAGE, int(given.get("_limit", ROWS_A_PAGE))))
    except ValueError as error:
        raise BadFilter("_start and _limit must be numbers") from error


def sort(pairs: Pairs, columns: Mapping[str, Column]) -> list[tuple[str, bool]]:
    """Returns (column, ascending?) in order of weight. Raises BadFilter."""
    names = [v for k, v in pairs if k in ("_sort", "_sort[]")]
    directions = [v.upper() != "DESC" for k, v in pairs if k in ("_dir", "_dir[]")]
    for name in names:
        if name not in columns:
            raise BadFilter(f"unknown attribute '{name}'")
    directions += [True] * (len(names) - len(directions))
    return list(zip(names, directions, strict=False))


def sortable(value: Any) -> tuple[int, Any]:
    """Returns a key in which blanks come first and texts ignore case."""
    if value is None:
        return (0, 0)
    return (1, value.casefold()) if isinstance(value, str) else (1, value)


def square(pairs: Pairs) -> tuple[list[dict[str, str]], str]:
    """Returns the rows of a change, read by position from parallel arrays, and "" or why they are not square."""
    arrays: dict[str, list[str]] = {}
    for key, value in pairs:
        if key.endswith("[]") and key not in ("_ff[]", "_ft[]", "_fc[]", "_fm[]", "_sort[]", "_dir[]", "_select_columns[]"):
            arrays.setdefault(key[:-2], []).append(value)
    for needed in ("__method", "id", "lock_version"):
        if needed not in arrays:
            return [], f"{needed} is missing"
    length = len(arrays["__method"])
    uneven = [name for name, values in arrays.items() if len(values) != length]
    if uneven:
        return [], f"{uneven[0]} has {len(arrays[uneven[0]])} values for {length} objects"
    return [{name: values[i] for name, values in arrays.items()} for i in range(length)], ""
