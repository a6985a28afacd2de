"""The describes of the played Salesforce: one object's fields and child relations, and the list of all objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.salesforce.objects import CASCADES, DEFAULTS, JOINED_BY, NEVER_UNDELETED, VALUE_LABELS
from connectors.sandbox.salesforce.schema import ID_LIST, NUMBERS, Field, SObject

MASTER_RECORD_TYPE = "012000000000000AAA"
SCOPES = ("everything", "mine")
SOAP_TYPES = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double", "currency": "xsd:double",
    "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime", "address": "urn:address",
    "base64": "xsd:base64Binary", ID_LIST: "urn:JunctionIdListNames",
}  # fmt: skip
# What the fields of this organisation have none of.
_ALWAYS: dict[str, Any] = {
    "aiPredictionField": False, "autoNumber": False, "calculated": False, "calculatedFormula": None, "cascadeDelete": False,
    "compoundFieldName": None, "controllerName": None, "defaultValueFormula": None, "dependentPicklist": False,
    "deprecatedAndHidden": False, "displayLocationInDecimal": False, "encrypted": False, "extraTypeInfo": None, "filteredLookupInfo": None,
    "formulaTreatNullNumberAsZero": False, "highScaleNumber": False, "htmlFormatted": False, "inlineHelpText": None, "mask": None,
    "maskType": None, "queryByDistance": False, "referenceTargetField": None, "relationshipOrder": None, "restrictedDelete": False,
    "searchPrefilterable": False, "writeRequiresMasterRead": False,
}  # fmt: skip


def describe_field(object_: SObject, field: Field) -> dict[str, Any]:
    """Returns one entry of `fields`."""
    is_text = field.is_text
    digits = {"int": 8}.get(field.type, 0)
    precision, scale = (18, 2) if field.type in NUMBERS else (0, 0)
    is_groupable = field.is_filterable and field.type not in (*NUMBERS, "datetime", "multipicklist", "base64")
    labels = VALUE_LABELS.get(f"{object_.name}.{field.name}", {})
    is_polymorphic = field.is_lookup and len(field.references) > 1
    default = DEFAULTS.get(f"{object_.name}.{field.name}", False if field.type == "boolean" else None)
    return {
        **_ALWAYS,
        "aggregatable": field.is_filterable and field.type != "boolean",
        "byteLength": field.length * 3 if is_text else field.length,
        "caseSensitive": False,
        "createable": field.is_createable and "c" in object_.rights,
        "custom": field.is_custom,
        "defaultValue": default if field.type == "boolean" else None,
        "defaultedOnCreate": field.is_defaulted,
        "digits": digits,
        "externalId": field.is_external_id,
        "filterable": field.is_filterable,
        "groupable": is_groupable,
        "idLookup": field.is_id_lookup,
        "label": field.label,
        "length": field.length,
        "name": field.name,
        "nameField": field.is_name,
        "namePointing": is_polymorphic,
        "nillable": not field.is_required and field.type != "boolean" and not (field.is_defaulted and not field.is_text),
        "permissionable": not field.is_required and field.is_createable,
        "picklistValues": [_picklist_entry(v, labels.get(v, v), v == default) for v in field.values],
        "polymorphicForeignKey": is_polymorphic,
        "precision": precision,
        "referenceTo": list(field.references) if field.is_lookup else [],
        "relationshipName": field.relationship or None,
        "restrictedPicklist": field.is_restricted,
        "scale": scale,
        "soapType": SOAP_TYPES.get(field.type, "xsd:string"),
        "sortable": field.is_filterable,
        "type": field.type,
        "unique": field.is_unique,
        "updateable": field.is_updateable and "u" in object_.rights,
    }


def _picklist_entry(value: str, label: str, is_default: bool) -> dict[str, Any]:
    return {"active": True, "defaultValue": is_default, "label": label, "validFor": None, "value": value}


def _object_keys(object_: SObject, root: str) -> dict[str, Any]:
    """Returns what both the global describe and the object's own say. `root` is `/services/data/v67.0`."""
    own = f"{root}/sobjects/{object_.name}"
    can = {right: right in object_.rights for right in "cudm"}
    return {
        "activateable": False,
        "createable": can["c"],
        "custom": False,
        "customSetting": False,
        "deletable": can["d"],
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "keyPrefix": object_.prefix,
        "label": object_.label,
        "labelPlural": object_.plural,
        "layoutable": True,
        "mergeable": can["m"],
        "mruEnabled": True,
        "name": object_.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": can["d"] and object_.name not in NEVER_UNDELETED,
        "updateable": can["u"],
        "urls": {
            "sobject": own,
            "describe": f"{own}/describe",
            "rowTemplate": f"{own}/{{ID}}",
            **({"listviews": f"{own}/listviews"} if object_.name in ("Account", "Contact", "Lead") else {}),
            **({"eventSeriesUpdates": f"{own}/{{ID}}/fromThisEventOnwards"} if object_.name == "Event" else {}),
        },
    }


def describe_global(objects: Mapping[str, SObject], root: str) -> dict[str, Any]:
    """Returns the body of `GET /sobjects`. The recorded one of a real organisation has no prefix for Event."""
    described = [_object_keys(o, root) for o in objects.values()]
    for each in described:
        if each["name"] == "Event":
            each["keyPrefix"] = None
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": described}


def describe_object(objects: Mapping[str, SObject], name: str, root: str) -> dict[str, Any]:
    """Returns the body of `GET /sobjects/Contact/describe`."""
    object_ = objects[name]
    record_type = {"active": True, "available": True, "defaultRecordTypeMapping": True, "developerName": "Master", "master": True,
                   "name": "Master", "recordTypeId": MASTER_RECORD_TYPE}  # fmt: skip
    return {
        **_object_keys(object_, root),
        "childRelationships": _children(objects, object_),
        "fields": [describe_field(object_, f) for f in object_.fields.values()],
        "recordTypeInfos": [record_type],
        "supportedScopes": [{"label": f"{s.capitalize()} {object_.plural}", "name": s} for s in SCOPES],
    }


def _children(objects: Mapping[str, SObject], object_: SObject) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": (child.name, field.name) in CASCADES,
            "childSObject": child.name,
            "deprecatedAndHidden": False,
            "field": field.name,
            **_joined(object_, child),
            "relationshipName": CASCADES.get((child.name, field.name)),
            "restrictedDelete": False,
        }
        for child in objects.values()
        for field in child.fields.values()
        if field.is_lookup and object_.name in field.references
    ]


def _joined(object_: SObject, child: SObject) -> dict[str, list[str]]:
    """Returns which lists of ids of an object show rows of a child, and where those lead."""
    lists = [f for f in object_.fields.values() if f.type == ID_LIST and JOINED_BY.get(f"{object_.name}.{f.name}") == child.name]
    return {
        "junctionIdListNames": [f.name for f in lists],
        "junctionReferenceTo": sorted({name for f in lists for name in f.references}),
    }
