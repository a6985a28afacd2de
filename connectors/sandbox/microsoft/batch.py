"""`$batch`: up to twenty calls in one, answered each by itself."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any

from connectors.sandbox.microsoft.calls import Answer, Call, Note
from connectors.sandbox.microsoft.refusal import bad_request

MOST_PARTS = 20
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
FAILED = {"error": {"code": "FailedDependency", "message": "A part that this one depends on failed."}}


def answer(call: Call, inner: Callable[[Call], Answer], lots: random.Random | None) -> tuple[Answer, list[dict[str, Any]]]:
    """Answers a batch; with `lots` in any order. Returns the answer and what the call log says of each part. Raises Refused
    for an envelope that makes no sense: nothing is carried out then."""
    call.allow("POST")
    parts = _read(call)
    done: dict[str, Answer] = {}
    log = []
    for part in parts:
        failed = [id_ for id_ in part["dependsOn"] if done[id_].status >= 400]
        own = _call(call, part)
        done[part["id"]] = Answer(424, FAILED) if failed else inner(own)
        log.append({"id": part["id"], **own.note.as_dict(done[part["id"]].status)})
    responses = [_shown(id_, each) for id_, each in done.items()]
    if lots is not None:
        lots.shuffle(responses)
    return Answer(200, {"responses": responses}), log


def _call(call: Call, part: dict[str, Any]) -> Call:
    path, _, query = part["url"].partition("?")
    own = Call(part["method"], path, query, part["headers"], b"", call.base_url, call.permissions, call.user)
    own.given, own.is_inner, own.over = part["body"], True, call.over
    own.note = Note(own.method, path, query)
    return own


def _shown(id_: str, answer: Answer) -> dict[str, Any]:
    headers = dict(answer.headers)
    if answer.body is not None:
        headers["Content-Type"] = "application/json" if isinstance(answer.body, dict) else answer.content_type
    told: dict[str, Any] = {"id": id_, "status": answer.status, "headers": headers}
    body = base64.b64encode(answer.body).decode() if isinstance(answer.body, bytes) else answer.body  # a file is told in base64
    return told if body is None else {**told, "body": body}


def _read(call: Call) -> list[dict[str, Any]]:
    """Returns the parts in an order in which none comes before those it depends on. Raises Refused."""
    given = call.object().get("requests")
    if not isinstance(given, list) or not given:
        raise _invalid("requests must be a collection with at least one entry")
    if len(given) > MOST_PARTS:
        raise _invalid(f"number of batch request steps exceeds the maximum value {MOST_PARTS}")
    parts = [_part(each) for each in given]
    by_id = {part["id"]: part for part in parts}
    if len(by_id) < len(parts):
        raise _invalid("the id of each request must be unique")
    if unknown := [id_ for part in parts for id_ in part["dependsOn"] if id_ not in by_id]:
        raise _invalid(f"dependsOn names '{unknown[0][:40]}', which is no request of this batch")
    ready: list[dict[str, Any]] = []
    while len(ready) < len(parts):
        done = {part["id"] for part in ready}
        next_ = [part for part in parts if part["id"] not in done and set(part["dependsOn"]) <= done]
        if not next_:
            raise _invalid("the requests depend on each other in a circle")
        ready += next_
    return ready


def _part(given: Any) -> dict[str, Any]:
    """Returns one part, with all its keys. Raises Refused."""
    if not isinstance(given, dict) or not isinstance(given.get("id"), str) or not given["id"]:
        raise _invalid("each request needs an id, a text")
    method, url, headers, depends = given.get("method"), given.get("url"), given.get("headers") or {}, given.get("dependsOn") or []
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise _invalid(f"request {given['id'][:40]} needs a method")
    if not isinstance(url, str) or not url or "://" in url.partition("?")[0]:
        raise _invalid(f"request {given['id'][:40]} needs a url, relative to the version")
    if url.lstrip("/").lower().startswith("$batch"):
        raise _invalid("a batch cannot hold another one")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise _invalid(f"the headers of request {given['id'][:40]} must be an object of texts")
    if not isinstance(depends, list) or not all(isinstance(id_, str) for id_ in depends):
        raise _invalid(f"dependsOn of request {given['id'][:40]} must be a collection of ids")
    lower = {name.lower(): value for name, value in headers.items()}
    if given.get("body") is not None and "content-type" not in lower:
        raise _invalid(f"request {given['id'][:40]} has a body and no Content-Type header")
    url = url if url.startswith("/") else f"/{url}"
    return {"id": given["id"], "method": method.upper(), "url": url, "headers": lower, "body": given.get("body"), "dependsOn": depends}


def _invalid(sentence: str) -> Exception:
    return bad_request(f"Invalid batch payload format: {sentence}.")
