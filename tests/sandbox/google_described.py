"""Google's own description of its APIs, as it comes with its client: schemas that answers and bodies are held against."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from googleapiclient.discovery_cache import get_static_doc
from jsonschema import Draft202012Validator

Api = tuple[str, str]  # name and version
PEOPLE, CALENDAR, TASKS, GMAIL = ("people", "v1"), ("calendar", "v3"), ("tasks", "v1"), ("gmail", "v1")


@cache
def discovery(api: Api) -> dict[str, Any]:
    return json.loads(get_static_doc(*api))


def as_json_schema(node: Any) -> Any:
    """Returns a schema of the discovery document as JSON Schema that knows no other names than those it lists."""
    if isinstance(node, list):
        return [as_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {k: as_json_schema(v) for k, v in node.items() if k not in ("id", "description", "enumDescriptions", "format", "deprecated")}
    if kept.get("type") == "any":
        return {}
    if "$ref" in kept:
        return {"$ref": f"#/$defs/{kept['$ref']}"}
    if "properties" in node and isinstance(node["properties"], dict):
        kept["properties"] = {name: as_json_schema(each) for name, each in node["properties"].items()}
        kept["additionalProperties"] = False
    return kept


@cache
def validator(api: Api, name: str) -> Draft202012Validator:
    definitions = {each: as_json_schema(schema) for each, schema in discovery(api)["schemas"].items()}
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})


@cache
def methods(api: Api) -> tuple[tuple[str, re.Pattern[str], str, str], ...]:
    """Returns method, form of the path, and the names of the schemas of request and answer, blank for none; the most literal
    paths first."""
    found = []
    root = "/" + discovery(api)["servicePath"]

    def walk(resources: dict[str, Any]) -> None:
        for resource in resources.values():
            for method in resource.get("methods", {}).values():
                form = re.compile(root + re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(method.get("flatPath", method["path"]))))
                asked, answered = (method.get(kind, {}).get("$ref", "") for kind in ("request", "response"))
                found.append((method["httpMethod"], form, asked, answered))
            walk(resource.get("resources", {}))

    walk(discovery(api)["resources"])
    return tuple(sorted(found, key=lambda each: each[1].pattern.count("[^/:]+")))


def schemas_of(api: Api, method: str, path: str) -> tuple[str, str]:
    return next((asked, answered) for verb, form, asked, answered in methods(api) if verb == method and form.fullmatch(path))
