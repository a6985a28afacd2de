"""What the played Workbooks knows of its record types: columns with datatype and rights, and the plugin's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `datatype` is Workbooks' own word for it."""

    name: str
    title: str
    datatype: str = "string"
    is_writable: bool = True
    is_required: bool = False


def _plugin(kind: str) -> tuple[Column, ...]:
    return (
        Column(f"cf_{kind}_sync_to_outreach", "Sync to Outreach", "boolean"),
        Column(f"cf_{kind}_outreach_sync_error", "Outreach Sync Error", "boolean"),
        Column(f"cf_{kind}_outreach_duplicate", "Outreach Duplicate", "boolean"),
        Column(f"cf_{kind}_outreach_id", "Outreach Id"),
        Column(f"cf_{kind}_outreach_url", "Outreach URL"),
    )


_COMMON = (
    Column("id", "Id", "integer", is_writable=False),
    Column("lock_version", "Lock version", "integer", is_writable=False),
    Column("object_ref", "Reference", is_writable=False),
    Column("created_at", "Created at", "datetime", is_writable=False),
    Column("created_by", "Created by", "integer", is_writable=False),
    Column("updated_at", "Updated at", "datetime", is_writable=False),
    Column("updated_by", "Updated by", "integer", is_writable=False),
    Column("updated_by_user[person_name]", "Updated by", is_writable=False),
    Column("created_by_user[person_name]", "Created by", is_writable=False),
    Column("owner_id", "Owner", "has_one"),
    Column("owner[person_name]", "Owner", is_writable=False),
    Column("assigned_to", "Assigned to", "has_one"),
    Column("assigned_to_name", "Assigned to"),
    Column("created_through", "Created through", is_writable=False),
    Column("created_through_reference", "Created through reference"),
    Column("is_deleted", "Deleted", "boolean", is_writable=False),
    Column("type", "Type", is_writable=False),
    Column("website", "Website"),
    Column("refcode", "Refcode"),
    Column("main_location[street_address]", "Street address"),
    Column("main_location[town]", "Town"),
    Column("main_location[county_province_state]", "County"),
    Column("main_location[postcode]", "Postcode"),
    Column("main_location[country]", "Country"),
    Column("main_location[telephone]", "Telephone"),
    Column("main_location[mobile]", "Mobile"),
    Column("main_location[email]", "E-mail"),
)

ORGANISATION = (
    *_COMMON,
    Column("name", "Name", is_required=True),
    Column("industry", "Industry"),
    Column("organisation_category", "Category"),
    Column("organisation_company_number", "Company number"),
    Column("organisation_annual_revenue", "Annual revenue", "currency"),
    Column("organisation_num_employees", "Employees", "integer"),
    Column("organisation_vat_number", "VAT number"),
    Column("cf_organisation_contract_end", "Contract end", "date"),
    Column("description", "Description", "text"),
    Column("no_email_soliciting", "No e-mail", "boolean"),
    Column("no_phone_soliciting", "No phone", "boolean"),
    *_plugin("organisation"),
)
PERSON = (
    *_COMMON,
    Column("name", "Name", is_required=True),
    Column("person_first_name", "First name"),
    Column("person_middle_name", "Middle name"),
    Column("person_last_name", "Last name"),
    Column("person_job_title", "Job title"),
    Column("employer_link", "Employer", "has_one"),
    Column("employer[name]", "Employer", is_writable=False),
    Column("no_email_soliciting", "No e-mail", "boolean"),
    *_plugin("person"),
)


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One controller: its path, class and columns by name."""

    name: str
    path: str
    class_name: str
    reference_prefix: str
    columns: dict[str, Column]


def _type(name: str, path: str, class_name: str, prefix: str, columns: tuple[Column, ...]) -> ObjectType:
    return ObjectType(name, path, class_name, prefix, {c.name: c for c in columns})


TYPES = {
    "organisations": _type("organisations", "crm/organisations", "Private::Crm::Organisation", "ORG", ORGANISATION),
    "people": _type("people", "crm/people", "Private::Crm::Person", "PERS", PERSON),
}
BY_PATH = {t.path: t for t in TYPES.values()}
TEXT_LIMIT = 255
LONG_TEXT_LIMIT = 65_535


def describe(type_: ObjectType) -> dict[str, Any]:
    """Returns the row of `metadata/types` for an object type."""
    fields = [
        {
            "name": c.name,
            "title": c.title,
            "datatype": c.datatype,
            "required": c.is_required,
            "is_createable": c.is_writable,
            "is_updateable": c.is_writable,
            "is_filterable": True,
            "is_nullable": not c.is_required,
            "default_value": None,
        }
        for c in type_.columns.values()
    ]
    human = type_.name[:-1].capitalize() if type_.name == "organisations" else "Person"
    return {
        "class_name": type_.class_name,
        "base_class_name": type_.class_name,
        "human_class_name": human,
        "human_class_name_plural": type_.name.capitalize(),
        "controller_path": type_.path,
        "actions": [{"name": name, "permitted": True} for name in ("read", "create", "update", "delete")],
        "fields": fields,
        "associations": [],
    }
