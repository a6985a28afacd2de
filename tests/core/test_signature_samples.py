"""The labelled signatures that the reader of signatures is measured on and never tuned by: they were written before it."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "data" / "signatures"
LABELS = {"name", "title", "company", "department", "phone", "mobile", "fax", "street", "city", "postal_code", "country", "website"}
TOLD = {"from", "region", "kind"}
HEAD = re.compile(r"(?m)^=== (?P<id>\S+)(?P<marks>.*)$")


def samples():
    """Yields (id, marks, labels by name, text) of each sample. A name with a question mark may be found and need not be."""
    for path in sorted(FOLDER.glob("held_out_*.txt")):
        parts = HEAD.split(path.read_text(encoding="utf-8"))[1:]
        for id_, marks, body in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
            head, _, text = body.strip("\n").partition("\n---\n")
            yield id_, marks.split(), dict(line.split(": ", 1) for line in head.splitlines()), text


SAMPLES = list(samples())


def test_there_are_enough_of_them_and_all_are_held_out():
    assert len(SAMPLES) >= 75 and len({id_ for id_, *_ in SAMPLES}) == len(SAMPLES)
    assert all("held_out" in marks for _, marks, _, _ in SAMPLES)
    assert len({id_.partition("-")[0] for id_, *_ in SAMPLES}) >= 8  # languages


@pytest.mark.parametrize(("id_", "head", "text"), [(i, h, t) for i, _, h, t in SAMPLES], ids=[i for i, *_ in SAMPLES])
def test_each_sample_is_well_formed(id_, head, text):
    assert {"from", "region"} <= set(head) and {name.lstrip("?") for name in head} <= LABELS | TOLD, id_
    assert text.strip() and "@" in head["from"]
    numbers = [one for name in ("phone", "mobile", "fax") if name in head for one in head[name].split(" || ")]
    assert all(re.fullmatch(r"\+\d{6,15}(x\d+)?", number) for number in numbers), numbers
