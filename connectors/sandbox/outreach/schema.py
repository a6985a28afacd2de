"""What the played Outreach knows of its resources: attributes with type, length and rights, and relationships."""

from __future__ import annotations

from dataclasses import dataclass

TIMES = "createdAt:datetime:R:FS updatedAt:datetime:R:FS"
_ADDRESS = "addressStreet addressStreet2 addressCity addressState addressZip addressCountry"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `type` is string, integer, number, boolean, datetime, date or array; `longest` 0: no limit."""

    name: str
    type: str = "string"
    longest: int = 0
    is_read_only: bool = False
    is_filterable: bool = False
    is_sortable: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type: its collection, attributes by name, and relationships name -> (type, to-one?, writable?)."""

    type: str
    collection: str
    attributes: dict[str, Attribute]
    to_one: dict[str, str]
    read_only_to_one: frozenset[str]
    links: dict[str, tuple[str, str]]  # link-only: name -> (collection, the relationship that points back)


def _attributes(text: str) -> dict[str, Attribute]:
    """Reads `name[:type[:longest or R[:FS]]]` words; R is read-only, F filterable, S sortable."""
    found = {}
    for word in text.split():
        name, type_, rights, flags = [*word.split(":"), "", "", ""][:4]
        longest = int(rights) if rights.isdigit() else (255 if type_ in ("", "string") and rights != "R" else 0)
        found[name] = Attribute(name, type_ or "string", longest, rights == "R", "F" in flags, "S" in flags)
    return found


def _relation(word: str) -> tuple[str, str]:
    """Reads `name:type`; a name alone is its own type."""
    name, _, type_ = word.partition(":")
    return name, type_ or name


def _resource(
    type_: str, collection: str, text: str, to_one: str = "", read_only: str = "", links: dict[str, tuple[str, str]] | None = None
) -> Resource:
    one = dict(_relation(word) for word in to_one.split())
    fixed = {"creator": "user", "updater": "user", **dict(_relation(word) for word in read_only.split())}
    return Resource(type_, collection, _attributes(f"{text} {TIMES}"), {**one, **fixed}, frozenset(fixed), links or {})


_CUSTOM = " ".join(f"custom{n}:string:32000" for n in range(1, 151))
_ACCOUNT = (
    "name:string:255:FS customId:string:255:FS domain:string:255:FS naturalName named:boolean::FS externalSource websiteUrl "
    "linkedInUrl:string:1000 industry companyType locality numberOfEmployees:integer followers:integer linkedInEmployees:integer "
    "annualRevenueRange foundedAt:datetime description:string:65535 tags:array buyerIntentScore:number::FS naicsCodes:array "
    f"sicCodes:array tickerSymbol sharingTeamId:string:255:F touchedAt:datetime:R:FS {_CUSTOM}"
)
_PROSPECT = (
    "firstName:string:255:FS middleName lastName:string:255:FS name:string:R nickname title:string:255:FS occupation emails:array::F "
    "externalId externalOwner externalSource:string:255:FS company source homePhones:array mobilePhones:array workPhones:array "
    f"otherPhones:array voipPhones:array {_ADDRESS} region timeZone:string:255:F optedOut:boolean optedOutAt:datetime:R "
    "emailOptedOut:boolean callOptedOut:boolean emailsOptStatus callsOptStatus engagedAt:datetime:R:FS engagedScore:number:R:FS "
    "score:number openCount:integer:R clickCount:integer:R replyCount:integer:R tags:array personalNote1:string:65535 "
    "personalNote2:string:65535 websiteUrl1:string:65535 websiteUrl2:string:65535 websiteUrl3:string:65535 linkedInUrl:string:1000 "
    "githubUsername:string:255:FS linkedInId:string:255:FS linkedInSlug:string:R:FS stackOverflowId:string:255:FS "
    f"twitterUsername:string:255:FS sharingTeamId:string:255:F trashedAt:datetime touchedAt:datetime:R:FS availableAt:datetime {_CUSTOM}"
)
RESOURCES = {
    r.collection: r
    for r in (
        _resource(
            "account", "accounts", _ACCOUNT, "owner:user", "defaultPluginMapping:pluginMapping",
            {"prospects": ("prospects", "account"), "tasks": ("tasks", "account")},
        ),
        _resource(
            "prospect", "prospects", _PROSPECT, "account owner:user stage persona", "",
            {"sequenceStates": ("sequenceStates", "prospect"), "tasks": ("tasks", "prospect"), "mailings": ("mailings", "prospect")},
        ),
        _resource(
            "user", "users",
            "email:string:255:FS username:string:255:FS firstName:string:255:FS lastName:string:255:FS name:string:R title "
            "locked:boolean::FS userGuid:string:R phoneNumber currentSignInAt:datetime:R:FS lastSignInAt:datetime:R",
        ),
        _resource(
            "task", "tasks",
            "action state:string:R:FS taskType:string:R:FS stateChangedAt:datetime:R opportunityAssociation "
            "dueAt:datetime::FS scheduledAt:datetime:R:FS autoskipAt:datetime::FS "
            "completed:boolean:R completedAt:datetime:R note:string:65535",
            "owner:user subject:prospect", "prospect account sequence",
        ),
        _resource(
            "sequence", "sequences",
            "name:string:255:FS enabled:boolean:R:F locked:boolean:R:F shareType sequenceType",
            "owner:user",
        ),
        _resource(
            "sequenceState", "sequenceStates",
            "state:string:R:FS pauseReason:string:R:F errorReason:string:R stateChangedAt:datetime:R:FS activeAt:datetime:R",
            "prospect sequence mailbox",
        ),
        _resource(
            "mailing", "mailings",
            "state:string:255:FS mailingType subject:string:65535 bodyHtml:string:0 bodyText:string:0 deliveredAt:datetime::FS "
            "openedAt:datetime repliedAt:datetime bouncedAt:datetime",
            "prospect mailbox",
        ),
        _resource(
            "mailbox", "mailboxes",
            "email:string:255:FS emailHash:string:R emailProvider sendMethod syncMethod sendDisabled:boolean",
        ),
        _resource(
            "emailAddress", "emailAddresses",
            "email:string:255:FS emailType:string:255:FS order:integer::FS status:string:255:FS statusChangedAt:datetime:R:FS",
            "prospect",
        ),
        _resource("phoneNumber", "phoneNumbers", "number:string:255:FS rawNumber phoneType:string:255:FS order:integer status", "prospect"),
        _resource("stage", "stages", "name:string:255:FS order:integer::FS color"),
        _resource("persona", "personas", "name:string:255:FS description:string:65535"),
        _resource(
            "opportunity", "opportunities",
            "name:string:255:FS customId:string:255:FS amount:integer closeDate:datetime probability:integer",
            "account owner:user",
        ),
        _resource(
            "webhook", "webhooks",
            "action:string:255:F resource:string:255:F url:string:1024 secret:string:255 payloadVersion:integer active:boolean::F "
            "disabledReason:string:R disabledSince:datetime:R disabledUntil:datetime:R cleanupToken:string:R creatorAppName:string:R",
        ),
    )
}  # fmt: skip
BY_TYPE = {r.type: r for r in RESOURCES.values()}
RELATION_FILTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "prospects": {"account": ("id", "customId", "name"), "owner": ("id",), "stage": ("id", "name")},
    "accounts": {"owner": ("id",)},
    "tasks": {"owner": ("id",), "prospect": ("id",), "account": ("id",)},
    "sequenceStates": {"prospect": ("id", "emails"), "sequence": ("id",), "mailbox": ("id",)},
    "emailAddresses": {"prospect": ("id",)},
    "phoneNumbers": {"prospect": ("id",)},
    "mailings": {"prospect": ("id",)},
    "opportunities": {"account": ("id",), "owner": ("id",)},
}
