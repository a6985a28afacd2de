"""Outreach's hyper-schema as a `Schema`, and the attributes that matter to a sync where it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import Attribute, Schema
from connectors.outreach.codec import RELATIONSHIPS

# Name, type, longest (reference section 5).
_ACCOUNT = (
    ("name", "text", 255),
    ("domain", "text", 255),
    ("customId", "text", 255),
    ("websiteUrl", "text", 255),
    ("linkedInUrl", "text", 1000),
    ("industry", "text", 255),
    ("companyType", "text", 255),
    ("locality", "text", 255),
    ("numberOfEmployees", "integer", 0),
    ("annualRevenueRange", "text", 255),
    ("foundedAt", "datetime", 0),
    ("description", "text", 65535),
    ("tags", "list", 0),
    ("externalSource", "text", 255),
    *((f"custom{n}", "text", 32000) for n in range(1, 151)),
)
# What a CRM's person may fill. Left out: what is read-only, and externalId with externalSource, which hold our own key.
_PROSPECT = (
    *((name, "text", 255) for name in ("firstName", "middleName", "lastName", "nickname", "title", "occupation", "source")),
    ("company", "text", 0),
    *((name, "list", 0) for name in ("emails", "workPhones", "mobilePhones", "homePhones", "otherPhones", "voipPhones", "tags")),
    *((f"address{part}", "text", 255) for part in ("Street", "Street2", "City", "State", "Zip", "Country")),
    *(
        (name, "text", 255)
        for name in ("region", "timeZone", "campaignName", "eventName", "preferredContact", "gender", "degree", "school")
    ),
    *((name, "boolean", 0) for name in ("emailOptedOut", "callOptedOut", "optedOut")),
    *((name, "date", 0) for name in ("dateOfBirth", "graduationDate", "jobStartDate")),
    ("availableAt", "datetime", 0),
    ("linkedInUrl", "text", 1000),
    ("twitterUrl", "text", 1000),
    *((f"websiteUrl{n}", "text", 65535) for n in range(1, 4)),
    ("personalNote1", "text", 65535),
    ("personalNote2", "text", 65535),
    ("specialties", "text", 65535),
    *((f"custom{n}", "text", 32000) for n in range(1, 151)),
)
_BUILT_IN = {"account": _ACCOUNT, "prospect": _PROSPECT}


def built_in(object_type: str) -> Schema:
    """Returns what the reference states."""
    rows = _BUILT_IN.get(object_type, ())
    attributes = {name: Attribute(name, name, type_, max_length=longest, is_required=name == "name") for name, type_, longest in rows}
    for name in RELATIONSHIPS[object_type]:
        attributes[name] = Attribute(name, name.capitalize(), "reference")
    return Schema(object_type, attributes)


def with_labels(schema: Schema, types: Any) -> Schema:
    """Returns the schema with the organisation's own labels of custom fields (`GET /api/v2/types`)."""
    attributes = dict(schema.attributes)
    for row in types if isinstance(types, list) else ():
        if not isinstance(row, Mapping) or row.get("type") != schema.object_type:
            continue
        meta = row.get("meta")
        validations = meta.get("validations") if isinstance(meta, Mapping) else None
        for name, rule in (validations if isinstance(validations, Mapping) else {}).items():
            old = attributes.get(name)
            if old is not None and isinstance(rule, Mapping):
                attributes[name] = Attribute(
                    name, str(rule.get("label") or name), old.type, old.max_length, is_required=rule.get("required") is True
                )
    return Schema(schema.object_type, attributes)
