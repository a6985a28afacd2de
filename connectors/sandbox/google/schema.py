"""What the People API knows: the types of its bodies, the fields of masks, scopes. Taken from the reference's list of types.

A type is a text: names of fields, `!` before one that the server alone sets, `:` and a kind behind one that is no string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PERSON_FIELDS = (
    "addresses", "ageRanges", "biographies", "birthdays", "calendarUrls", "clientData", "coverPhotos", "emailAddresses", "events",
    "externalIds", "genders", "imClients", "interests", "locales", "locations", "memberships", "metadata", "miscKeywords", "names",
    "nicknames", "occupations", "organizations", "phoneNumbers", "photos", "relations", "sipAddresses", "skills", "urls", "userDefined",
)  # fmt: skip
WRITABLE = tuple(f for f in PERSON_FIELDS if f not in ("ageRanges", "coverPhotos", "metadata", "photos", "skills"))
SINGLETONS = ("names", "biographies", "birthdays", "genders")
GROUP_FIELDS = ("clientData", "groupType", "memberCount", "metadata", "name")
READ_SOURCES = (
    "READ_SOURCE_TYPE_UNSPECIFIED", "READ_SOURCE_TYPE_PROFILE", "READ_SOURCE_TYPE_CONTACT", "READ_SOURCE_TYPE_DOMAIN_CONTACT",
    "READ_SOURCE_TYPE_OTHER_CONTACT",
)  # fmt: skip
SCOPE = "https://www.googleapis.com/auth/"
KNOWN_SCOPES = (
    *(SCOPE + name for name in (
        "contacts", "contacts.readonly", "contacts.other.readonly", "directory.readonly", "calendar", "calendar.events",
        "calendar.readonly", "gmail.readonly", "gmail.metadata", "gmail.modify", "gmail.labels", "tasks", "tasks.readonly",
        "userinfo.email", "userinfo.profile",
    )),
    "https://mail.google.com/", "openid", "email", "profile",
)  # fmt: skip
ALL_SCOPES = " ".join(KNOWN_SCOPES)
_TYPES = {
    "Address": (
        "city country countryCode extendedAddress !formattedType formattedValue metadata:FieldMetadata poBox postalCode region "
        "streetAddress type"
    ),
    "AgeRangeType": "ageRange:enum(AGE_RANGE_UNSPECIFIED|LESS_THAN_EIGHTEEN|EIGHTEEN_TO_TWENTY|TWENTY_ONE_OR_OLDER) metadata:FieldMetadata",
    "BatchCreateContactsRequest": "contacts:[ContactToCreate] readMask sources:[enum(READ_SOURCES)]",
    "BatchDeleteContactsRequest": "resourceNames:[string]",
    "BatchUpdateContactsRequest": "contacts:{Person} readMask sources:[enum(READ_SOURCES)] updateMask",
    "Biography": "contentType:enum(CONTENT_TYPE_UNSPECIFIED|TEXT_PLAIN|TEXT_HTML) metadata:FieldMetadata value",
    "Birthday": "date:Date metadata:FieldMetadata text",
    "BraggingRights": "metadata:FieldMetadata value",
    "CalendarUrl": "!formattedType metadata:FieldMetadata type url",
    "ClientData": "key metadata:FieldMetadata value",
    "ContactGroup": (
        "clientData:[GroupClientData] etag !formattedName "
        "!groupType:enum(GROUP_TYPE_UNSPECIFIED|USER_CONTACT_GROUP|SYSTEM_CONTACT_GROUP) !memberCount:int "
        "memberResourceNames:[string] metadata:ContactGroupMetadata name resourceName"
    ),
    "ContactGroupMembership": "!contactGroupId contactGroupResourceName",
    "ContactGroupMetadata": "!deleted:bool !updateTime",
    "ContactToCreate": "contactPerson:Person",
    "CoverPhoto": "default:bool metadata:FieldMetadata url",
    "CreateContactGroupRequest": "contactGroup:ContactGroup readGroupFields",
    "Date": "day:int month:int year:int",
    "DomainMembership": "inViewerDomain:bool",
    "EmailAddress": "displayName !formattedType metadata:FieldMetadata type value",
    "Event": "date:Date !formattedType metadata:FieldMetadata type",
    "ExternalId": "!formattedType metadata:FieldMetadata type value",
    "FieldMetadata": "!primary:bool source:Source sourcePrimary:bool !verified:bool",
    "FileAs": "metadata:FieldMetadata value",
    "Gender": "addressMeAs !formattedValue metadata:FieldMetadata value",
    "GroupClientData": "key value",
    "ImClient": "!formattedProtocol !formattedType metadata:FieldMetadata protocol type username",
    "Interest": "metadata:FieldMetadata value",
    "Locale": "metadata:FieldMetadata value",
    "Location": "buildingId current:bool deskCode floor floorSection metadata:FieldMetadata type value",
    "Membership": "contactGroupMembership:ContactGroupMembership domainMembership:DomainMembership metadata:FieldMetadata",
    "MiscKeyword": (
        "!formattedType metadata:FieldMetadata "
        "type:enum(TYPE_UNSPECIFIED|OUTLOOK_BILLING_INFORMATION|OUTLOOK_DIRECTORY_SERVER|OUTLOOK_KEYWORD|"
        "OUTLOOK_MILEAGE|OUTLOOK_PRIORITY|OUTLOOK_SENSITIVITY|OUTLOOK_SUBJECT|OUTLOOK_USER|HOME|WORK|OTHER) "
        "value"
    ),
    "ModifyContactGroupMembersRequest": "resourceNamesToAdd:[string] resourceNamesToRemove:[string]",
    "Name": (
        "!displayName !displayNameLastFirst familyName givenName honorificPrefix honorificSuffix metadata:FieldMetadata "
        "middleName phoneticFamilyName phoneticFullName phoneticGivenName phoneticHonorificPrefix phoneticHonorificSuffix "
        "phoneticMiddleName unstructuredName"
    ),
    "Nickname": "metadata:FieldMetadata type:enum(DEFAULT|MAIDEN_NAME|INITIALS|GPLUS|OTHER_NAME|ALTERNATE_NAME|SHORT_NAME) value",
    "Occupation": "metadata:FieldMetadata value",
    "Organization": (
        "costCenter current:bool department domain endDate:Date !formattedType fullTimeEquivalentMillipercent:int "
        "jobDescription location metadata:FieldMetadata name phoneticName startDate:Date symbol title type"
    ),
    "Person": (
        "addresses:[Address] !ageRange:enum(AGE_RANGE_UNSPECIFIED|LESS_THAN_EIGHTEEN|EIGHTEEN_TO_TWENTY|TWENTY_ONE_OR_OLDER) "
        "ageRanges:[AgeRangeType] biographies:[Biography] birthdays:[Birthday] braggingRights:[BraggingRights] "
        "calendarUrls:[CalendarUrl] clientData:[ClientData] coverPhotos:[CoverPhoto] emailAddresses:[EmailAddress] etag "
        "events:[Event] externalIds:[ExternalId] fileAses:[FileAs] genders:[Gender] imClients:[ImClient] interests:[Interest] "
        "locales:[Locale] locations:[Location] memberships:[Membership] metadata:PersonMetadata miscKeywords:[MiscKeyword] "
        "names:[Name] nicknames:[Nickname] occupations:[Occupation] organizations:[Organization] phoneNumbers:[PhoneNumber] "
        "photos:[Photo] relations:[Relation] relationshipInterests:[RelationshipInterest] "
        "relationshipStatuses:[RelationshipStatus] residences:[Residence] resourceName sipAddresses:[SipAddress] skills:[Skill] "
        "taglines:[Tagline] urls:[Url] userDefined:[UserDefined]"
    ),
    "PersonMetadata": (
        "!deleted:bool linkedPeopleResourceNames:[string] !objectType:enum(OBJECT_TYPE_UNSPECIFIED|PERSON|PAGE) "
        "previousResourceNames:[string] sources:[Source]"
    ),
    "PhoneNumber": "!canonicalForm !formattedType metadata:FieldMetadata type value",
    "Photo": "default:bool metadata:FieldMetadata url",
    "ProfileMetadata": (
        "!objectType:enum(OBJECT_TYPE_UNSPECIFIED|PERSON|PAGE) userTypes:[enum(USER_TYPE_UNKNOWN|GOOGLE_USER|GPLUS_USER|GOOGLE_APPS_USER)]"
    ),
    "Relation": "!formattedType metadata:FieldMetadata person type",
    "RelationshipInterest": "!formattedValue metadata:FieldMetadata value",
    "RelationshipStatus": "!formattedValue metadata:FieldMetadata value",
    "Residence": "current:bool metadata:FieldMetadata value",
    "SipAddress": "!formattedType metadata:FieldMetadata type value",
    "Skill": "metadata:FieldMetadata value",
    "Source": (
        "etag id profileMetadata:ProfileMetadata "
        "type:enum(SOURCE_TYPE_UNSPECIFIED|ACCOUNT|PROFILE|DOMAIN_PROFILE|CONTACT|OTHER_CONTACT|DOMAIN_CONTACT) !updateTime"
    ),
    "Tagline": "metadata:FieldMetadata value",
    "UpdateContactGroupRequest": "contactGroup:ContactGroup readGroupFields updateGroupFields",
    "Url": "!formattedType metadata:FieldMetadata type value",
    "UserDefined": "key metadata:FieldMetadata value",
}
_TOKEN = re.compile(r"(!?)(\w+)(?::(\S+))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type. `kind` is string, int, bool, any or the name of a type; `allowed` are the words of an enum."""

    name: str
    kind: str = "string"
    is_output: bool = False
    is_list: bool = False
    is_map: bool = False
    allowed: tuple[str, ...] = ()


def _field(token: str) -> Field:
    found = _TOKEN.fullmatch(token)
    assert found is not None
    output, name, kind = found.groups()
    kind = kind or "string"
    is_list, is_map = kind.startswith("["), kind.startswith("{")
    kind = kind.strip("[]{}")
    allowed: tuple[str, ...] = ()
    if kind.startswith("enum("):
        words, kind = kind[5:-1], "string"
        allowed = READ_SOURCES if words == "READ_SOURCES" else tuple(words.split("|"))
    return Field(name, kind, output == "!", is_list, is_map, allowed)


def types_of(texts: Mapping[str, str]) -> dict[str, dict[str, Field]]:
    """Returns the types that texts describe, by name and by field."""
    return {name: {field.name: field for field in map(_field, text.split())} for name, text in texts.items()}


TYPES = types_of(_TYPES)
