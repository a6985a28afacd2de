"""The labelled signatures that the reader of signatures is measured on are well formed, enough, and of many languages."""

import re

import pytest

from tests.core.signature_samples import LABELS, samples

SAMPLES = list(samples())


def test_there_are_enough_of_them_and_half_are_held_out():
    held_out = [sample for sample in SAMPLES if sample.is_held_out]

    assert len(SAMPLES) >= 150 and len({sample.id for sample in SAMPLES}) == len(SAMPLES)
    assert len(held_out) >= 75 and held_out == list(samples("held_out_*.txt"))
    assert len({sample.id.partition("-")[0] for sample in held_out}) >= 8  # languages


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.id for sample in SAMPLES])
def test_each_sample_is_well_formed(sample):
    assert {name.lstrip("?") for name in sample.labels} <= set(LABELS)
    assert sample.text.strip() and "@" in sample.sender and re.fullmatch("[A-Z]{2}", sample.region)
    numbers = [one for name in ("phone", "mobile", "fax") for one in sample.right().get(name, ())]
    assert all(re.fullmatch(r"\+\d{6,15}(x\d+)?", number) for number in numbers), numbers
