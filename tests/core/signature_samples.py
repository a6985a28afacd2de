"""The labelled signatures that the reader is measured on: those in `held_out_*.txt` were written before it and are never tuned
by, those in `worked_on_*.txt` while it was written.

A sample is a line "=== id marks", labels, a line "---", and the text of a mail. A label with a question mark may be found and
need not be; " || " sets apart values that are equally right. A field without a label must stay empty."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciliation.core.addresses import parse_addresses
from reconciliation.core.signatures import VALUES, Signature, read_signature

FOLDER = Path(__file__).parent / "data" / "signatures"
LABELS = ("name", *VALUES[2:])
HEAD = re.compile(r"(?m)^=== (?P<id>\S+)(?P<marks>.*)$")
GROUPS = {
    "name": ("first_name", "last_name"),
    "title": ("title",),
    "company": ("company",),
    "department": ("department",),
    "phone": ("phone",),
    "mobile": ("mobile",),
    "fax": ("fax",),
    "address": ("street", "city", "postal_code", "country"),
    "website": ("website",),
}


@dataclass(frozen=True)
class Sample:
    id: str
    is_held_out: bool
    sender: str
    region: str
    labels: dict[str, str]
    text: str

    def read(self) -> Signature:
        sender = parse_addresses(self.sender)[0]
        return read_signature(self.text, sender_name=sender.name, sender_address=sender.address, region=self.region)

    def right(self) -> dict[str, set[str]]:
        """The values that are right, by the name of the value, in the form in which they are compared."""
        found: dict[str, set[str]] = {}
        for label, said in self.labels.items():
            for one in said.split("||"):
                parts = one.split(" / ", 1) if label.lstrip("?") == "name" else [one]
                names = ("first_name", "last_name") if label.lstrip("?") == "name" else (label.lstrip("?"),)
                for name, value in zip(names, parts, strict=True):
                    found.setdefault(name, set()).add(comparable(name, value))
        return found

    def needed(self) -> set[str]:
        labels = [label for label in self.labels if not label.startswith("?")]
        return {name for label in labels for name in (("first_name", "last_name") if label == "name" else (label,))}


@dataclass
class Score:
    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def comparable(name: str, value: str) -> str:
    if name in ("phone", "mobile", "fax"):
        return re.sub(r"[^\dx+]", "", value.replace("ext.", "x"))
    return " ".join(value.split())


def samples(pattern: str = "*.txt") -> Iterator[Sample]:
    for path in sorted(FOLDER.glob(pattern)):
        parts = HEAD.split(path.read_text(encoding="utf-8"))[1:]
        for id_, marks, body in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
            head, _, text = body.strip("\n").partition("\n---\n")
            labels = dict(line.split(": ", 1) for line in head.splitlines())
            yield Sample(id_, "held_out" in marks.split(), labels.pop("from"), labels.pop("region"), labels, text)


def judge(sample: Sample) -> tuple[dict[str, str], list[str], list[str]]:
    """The certain values, the names of those that are wrong, and of those that should have been found and were not."""
    certain, right = sample.read().certain(), sample.right()
    wrong = [name for name, value in certain.items() if comparable(name, value) not in right.get(name, set())]
    return certain, wrong, sorted(sample.needed() - set(certain))


def measure(found: Sequence[Sample]) -> dict[str, Score]:
    """The scores by group of values; "all" is their sum. A value that need not be found counts as right when it is."""
    counts: dict[str, Counter[str]] = {group: Counter() for group in GROUPS}
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    for sample in found:
        certain, wrong, missed = judge(sample)
        for name in certain:
            counts[group_of[name]]["wrong" if name in wrong else "right"] += 1
        for name in (*missed, *(name for name in wrong if name in sample.needed())):
            counts[group_of[name]]["missed"] += 1
    scores = {group: Score(**count) for group, count in counts.items()}
    total = sum(counts.values(), Counter[str]())
    return {**scores, "all": Score(**total)}
