"""The shipped mapping of Workbooks organisations to Outreach accounts (S0.15, D33), and the plugin's columns."""

from __future__ import annotations

# crm field, peer field, transform
STANDARD_RULES: tuple[tuple[str, str, str], ...] = (
    ("name", "name", "text"),
    ("website", "websiteUrl", "text"),
    ("website", "domain", "host of web address"),
    ("industry", "industry", "text"),
    ("organisation_num_employees", "numberOfEmployees", "integer"),
    ("main_location[town]", "locality", "text"),
    ("assigned_to_name", "owner", "user by username"),
)

# Titles as the plugin creates them; the column names are looked up by title in the metadata, these are the guesses
# used until then (reference: their API names are not published).
ORGANISATION_COLUMNS = {
    "sync": "cf_organisation_sync_to_outreach",
    "error": "cf_organisation_outreach_sync_error",
    "duplicate": "cf_organisation_outreach_duplicate",
    "peer_id": "cf_organisation_outreach_id",
    "peer_url": "cf_organisation_outreach_url",
}
PERSON_COLUMNS = {key: name.replace("cf_organisation_", "cf_person_") for key, name in ORGANISATION_COLUMNS.items()}
PLUGIN_TITLES = {
    "sync": "Sync to Outreach",
    "error": "Outreach Sync Error",
    "duplicate": "Outreach Duplicate",
    "peer_id": "Outreach Id",
    "peer_url": "Outreach URL",
    "error_text": "Outreach Error",
}
FIELD_TYPES = {  # the types a column may have; the first is the one it is created with
    "sync": ("boolean",),
    "error": ("boolean",),
    "duplicate": ("boolean",),
    "peer_id": ("text",),
    "peer_url": ("text",),
    "error_text": ("text", "boolean"),  # D34
}
ORGANISATION_FIELDS = ("sync", "error", "duplicate", "peer_id", "peer_url", "error_text")
PERSON_FIELDS = ("sync", "error", "duplicate", "peer_id")  # what relating people asks of them (S0.20, D4)
OPTIONAL_FIELDS = {("organisation", "error_text")}

# Lengths of the peer's fields until its schema was read (reference/outreach: account).
PEER_LENGTHS = {"name": 255, "websiteUrl": 255, "domain": 255, "industry": 255, "locality": 255}
