"""What becomes of a field that both sides changed, once a person has chosen (D10). Pure: data in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from connectors.contract import Value
from reconciliation.core.mapping import FieldRule, Survivorship
from reconciliation.core.spellings import has_forgotten
from reconciliation.core.transforms import CannotConvert, Unmatched, Users, convert
from reconciliation.core.values import is_blank, is_same

Take = Literal["crm", "peer", "typed"]
LONGEST_TYPED = 32_000  # characters; what is longer was pasted by mistake
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class CannotSettle(ValueError):
    """The choice cannot be carried out; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the two sides."""

    crm: str = "Salesforce"
    peer: str = "Outreach"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What both sides hold of a field afterwards. A side that holds it already is not written to."""

    crm: Value
    peer: Value
    writes_crm: bool
    writes_peer: bool

    @property
    def agrees(self) -> bool:
        return not (self.writes_crm or self.writes_peer)


def do_agree(rule: FieldRule, crm: Value, peer: Value, users: Users) -> bool:
    """Tells whether the two values of a field say the same by now. A value without a counterpart agrees with none; of a
    consent, no and blank are one."""
    if rule.survivorship is Survivorship.RESTRICTIVE:
        return (crm is True) == (peer is True)
    try:
        wanted = convert(rule.transform, crm, users=users, current=peer, pairs=rule.value_map)
    except CannotConvert:
        return False
    return not isinstance(wanted, Unmatched) and is_same(wanted, peer)


def settle(rule: FieldRule, crm: Value, peer: Value, take: Take, typed: Value, users: Users, names: Names) -> Settlement:
    """Returns what the choice makes of a field that holds `crm` and `peer` now; `typed` is written as the CRM writes it.
    Raises CannotSettle. Source: S3.8, D10."""
    if rule.survivorship is Survivorship.RESTRICTIVE:
        raise CannotSettle("It is a consent: a yes on either side holds for both, and nobody chooses between them.")
    if take != "typed" and do_agree(rule, crm, peer, users):
        return Settlement(crm, peer, writes_crm=False, writes_peer=False)
    if take == "peer":
        wanted_crm, wanted_peer = _brought(rule, peer, crm, users, names, back=True), peer
    else:
        wanted_crm = typed if take == "typed" else crm
        if has_forgotten(wanted_crm):
            raise CannotSettle("This value was a person's who was forgotten; it is written nowhere.")
        wanted_peer = _brought(rule, wanted_crm, peer, users, names, back=False)
    return checked(rule, Settlement(wanted_crm, wanted_peer, not is_same(wanted_crm, crm), not is_same(wanted_peer, peer)), names)


def checked(rule: FieldRule, planned: Settlement, names: Names) -> Settlement:
    """Returns what is planned. Raises CannotSettle where a side that is to be written does not take it."""
    if planned.writes_crm:
        _check(rule.crm, planned.crm, rule.max_length_in_crm, names.crm, flows=rule.flows_to_crm, is_required=rule.is_required_in_crm)
    if planned.writes_peer:
        _check(rule.peer, planned.peer, rule.max_length, names.peer, flows=rule.flows_to_peer, is_required=rule.is_required)
    return planned


def _brought(rule: FieldRule, value: Value, current: Value, users: Users, names: Names, *, back: bool) -> Value:
    """Returns what the other side holds for a value. Raises CannotSettle where there is nothing."""
    to = names.crm if back else names.peer
    try:
        wanted = convert(rule.transform, value, users=users, current=current, pairs=rule.value_map, back=back)
    except CannotConvert as error:
        raise CannotSettle(f"It cannot be brought to {to}: {error}.") from None
    if isinstance(wanted, Unmatched):
        raise CannotSettle(f"{str(wanted.text)[:80]} has no counterpart in {to}; see the user mapping.")
    return None if is_blank(wanted) else wanted


def _check(name: str, value: Value, most: int, system: str, *, flows: bool, is_required: bool) -> None:
    if not flows:
        raise CannotSettle(f"The mapping lets nothing flow to {system} here any more.")
    if is_blank(value) and is_required:
        raise CannotSettle(f"{system} takes no blank here.")
    if most and isinstance(value, str) and len(value) > most:
        raise CannotSettle(f"It has {len(value)} characters, {name} in {system} takes {most}.")
    if has_forgotten(value):
        raise CannotSettle("This value was a person's who was forgotten; it is written nowhere.")


def read_typed(text: str, kind: str) -> Value:
    """Returns what a person typed as a value of this type of attribute (`contract.Attribute.type`), None for a blank. Raises
    CannotSettle."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        return None
    if len(text) > LONGEST_TYPED or _UNSTORABLE.search(text):
        raise CannotSettle("The value holds characters that cannot be stored, or is too long.")
    try:
        return _parsed(text, kind)
    except (ValueError, OverflowError):  # year 1 with an offset lies before all years
        said = {"integer": "a whole number", "number": "a number", "boolean": "yes or no", "date": "a day, such as 2026-05-02"}
        raise CannotSettle(f"“{text[:60]}” is not {said.get(kind, 'an instant, such as 2026-05-02 14:30')}.") from None


def _parsed(text: str, kind: str) -> Value:
    if kind == "boolean":
        return {"yes": True, "true": True, "no": False, "false": False}.get(text.casefold()) if text.casefold() in _WORDS else _refuse()
    if kind == "integer":
        return int(text)
    if kind == "number":
        value = float(text)
        return value if abs(value) < 1e300 else _refuse()  # not infinite, nor not a number
    if kind == "date":
        return date.fromisoformat(text)
    if kind == "datetime":
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return text


_WORDS = ("yes", "true", "no", "false")


def _refuse() -> Value:
    raise ValueError
