"""Another engine's work on the same records, as the records changed last show it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import Check, Record

LOOKED_AT = 200  # records, the latest first, in which another engine's work is looked for
IN = ("Contact", "Lead")
_RIVAL = "outreach"
_TWO_ENGINES = "Two engines on one pair of systems take each other's records for duplicates."
LOOK_FOR_PLUGIN = (
    "Ask an Outreach administrator to look under Settings, Plugins, and to switch the Salesforce plugin off for these records before a "
    "pass is switched on."
)


def lines(records: Sequence[Record], name: str, noun: str, *, user_id: str, field: str, own_prefix: str) -> list[Check]:
    """Returns what the records tell: who changed them, and whose keys they carry in `field`, "" for none."""
    by_plugin = [r for r in records if r.updated_by != user_id and _RIVAL in str(r.fields.get("LastModifiedBy.Name") or "").lower()]
    keys = [(r, str(r.fields.get(field) or "")) for r in records] if field else []
    foreign = [r for r, key in keys if key and not (own_prefix and key.startswith(own_prefix))]
    found = []
    if by_plugin:
        who = str(by_plugin[0].fields["LastModifiedBy.Name"])[:80]
        said = f"{len(by_plugin)} of the {len(records)} {noun} changed last were changed by “{who}”. {_TWO_ENGINES}"
        found.append(Check(name, True, said, LOOK_FOR_PLUGIN, is_warning=True))
    if foreign:
        said = f"{len(foreign)} of the {len(records)} {noun} changed last carry another program's key in {field}. {_TWO_ENGINES}"
        found.append(Check(name, True, said, f"Choose another field than {field}, or switch the other program off.", is_warning=True))
    return found or [Check(name, True, f"None of the {len(records)} {noun} changed last shows another program at work.")]
