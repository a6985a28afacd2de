"""How requests come in and answers go out: address, form or JSON body; plain, pretty or wrapped JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.sandbox.wire import Request, Response, masked, read_json
from connectors.sandbox.workbooks.query import BadFilter

Pairs = list[tuple[str, str]]
_CALLBACK = re.compile(r"^[A-Za-z_$][\w$.]{0,99}$")


def read_pairs(request: Request) -> Pairs:
    """Returns all parameters, of the address and of a form or JSON body, in order. Raises BadFilter for a body that is
    not JSON and says it is."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    if not request.body:
        return pairs
    if _is_json(request):
        return pairs + _pairs_of_json(request.body)
    return pairs + parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)


def _pairs_of_json(body: bytes) -> Pairs:
    """Reads `{"__method": ["POST"], "id": [0], "name": ["x"], "_start": 0}`: a list is an array parameter."""
    try:
        data = read_json(body)
        pairs: Pairs = []
        for key, value in data.items() if isinstance(data, dict) else ():
            if isinstance(value, list):
                name = key if key.endswith("[]") else f"{key}[]"
                pairs += [(name, _text(v)) for v in value]
            else:
                pairs.append((key, _text(value)))
    except (ValueError, RecursionError):
        raise BadFilter("The body is not JSON, or nests too deep.") from None
    return pairs


def _is_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "")


def method_in(pairs: Pairs, otherwise: str) -> str:
    """Returns the method that counts: reads and writes both may travel as POST with `_method`, in the address or body."""
    return next((v for k, v in pairs if k == "_method"), otherwise).upper()


def shown(request: Request, pairs: Pairs) -> str:
    """Returns what a call asked, for people: without the key, and without what every call carries."""
    body = urlencode(pairs) if _is_json(request) else request.body[:20_000].decode("utf-8", "replace")
    text = "&".join(filter(None, (request.query, body)))
    return masked(text, without=("_method", "client", "_api_version"))


def _text(value: Any) -> str:
    if value is None:
        return ":null_value:"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def dressed(response: Response, pairs: Pairs) -> Response:
    """Returns the answer as `json=pretty`, `callback=` or `jsonp=` ask for it."""
    given = dict(pairs)
    name = given.get("callback") or given.get("jsonp") or ""
    if given.get("json") == "pretty" and response.content_type.startswith("application/json"):
        response.body = json.dumps(json.loads(response.body), indent=2).encode()
    if _CALLBACK.match(name):
        response.body = name.encode() + b"(" + response.body + b");"
        response.content_type = "text/javascript; charset=utf-8"
    return response


def reply(status: int, body: Mapping[str, Any], template: str) -> Response:
    return Response(status, json.dumps(body).encode(), template=template)


def failure(status: int, reason: str, template: str) -> Response:
    """The Guide names the key `failure_reason`, the libraries read `failure_message`: both are sent."""
    return reply(status, {"success": False, "failure_reason": reason, "failure_message": reason}, template)


def refusal(status: int, sentence: str, template: str) -> Response:
    return reply(status, {"success": False, "errors": {"base": [sentence]}, "flash": sentence}, template)
