"""Composite and batch calls: several calls in one, in order; a composite's parts may use the answers of earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from connectors.sandbox.salesforce.calls import Answer, Call, method_not_allowed
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.refusal import Refused, bad_json

MOST_PARTS, MOST_QUERIES = 25, 5
METHODS = ("GET", "POST", "PATCH", "DELETE", "PUT")
HALTED = "The transaction was rolled back since another operation in the same transaction failed."
_REFERENCE = re.compile(r"@\{([A-Za-z_]\w*)((?:\.\w+|\[\d+\])*)\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_ID = re.compile(r"[A-Za-z_]\w*")
Inner = Callable[[Call], Answer]


class Composite:
    """Answers `/composite` and `/composite/batch`. `inner` answers one part and never raises."""

    def __init__(self, records: Records, inner: Inner, count: Callable[[int], bool]) -> None:
        self._records, self._inner, self._count = records, inner, count

    # --- composite ----------------------------------------------------------------------------------------------------
    def answer(self, call: Call) -> Answer:
        """Answers `POST /composite`. Raises Refused where the call itself is wrong."""
        if call.method != "POST":
            raise method_not_allowed(call, "POST")
        data = call.object(("allOrNone", "collateSubrequests", "compositeRequest"))
        all_or_none = data.get("allOrNone", False)
        parts = data.get("compositeRequest")
        if not isinstance(parts, list) or not parts or not isinstance(all_or_none, bool):
            raise bad_json("compositeRequest must be an array of requests, and allOrNone true or false")
        if len(parts) > MOST_PARTS:
            raise Refused(400, "LIMIT_EXCEEDED", f"a composite call has at most {MOST_PARTS} subrequests")
        self._check(parts)
        start = self._records.savepoint()
        answers: dict[str, Answer] = {}
        for part in parts:
            answers[part["referenceId"]] = self._part(call, part, answers)
            if all_or_none and answers[part["referenceId"]].status >= 400:
                break
        if all_or_none and any(a.status >= 400 for a in answers.values()):
            self._records.roll_back(start)
            halted = Answer(400, [Refused(400, "PROCESSING_HALTED", HALTED).as_error()])
            answers = {p["referenceId"]: _own_failure(answers.get(p["referenceId"]), halted) for p in parts}
        shown = [_shown(p["referenceId"], answers[p["referenceId"]]) for p in parts]
        return Answer(200, {"compositeResponse": shown})

    def _check(self, parts: list[Any]) -> None:
        """Raises Refused for parts that are none."""
        seen: set[str] = set()
        queries = 0
        for part in parts:
            if not isinstance(part, dict) or set(part) - {"method", "url", "referenceId", "body", "httpHeaders"}:
                raise bad_json("a subrequest has method, url, referenceId, body and httpHeaders")
            reference, url, headers = part.get("referenceId"), part.get("url"), part.get("httpHeaders", {})
            if not isinstance(reference, str) or not _ID.fullmatch(reference) or reference in seen:
                raise bad_json("every subrequest needs a referenceId of its own, of letters, digits and underscores")
            if part.get("method") not in METHODS or not isinstance(url, str) or not url.startswith("/services/data/v"):
                raise bad_json("a subrequest needs a method and a url that begins with /services/data/v")
            if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
                raise bad_json("httpHeaders must be an object of texts")
            seen.add(reference)
            queries += url.split("?")[0].rstrip("/").split("/")[4:5] in (["query"], ["queryAll"]) or "/composite/sobjects" in url
        if queries > MOST_QUERIES:
            raise Refused(400, "LIMIT_EXCEEDED", f"a composite call has at most {MOST_QUERIES} queries and collections")

    def _part(self, call: Call, part: dict[str, Any], answers: dict[str, Answer]) -> Answer:
        try:
            url = _filled(part["url"], answers)
            body = _filled(part.get("body"), answers)
        except Refused as error:
            return Answer(error.status, [error.as_error()])
        inner = _inner_call(call, part["method"], url, body, part.get("httpHeaders", {}))
        if inner.parts[:1] not in (("sobjects",), ("query",), ("queryAll",)) and inner.parts[:2] != ("composite", "sobjects"):
            return Answer(404, [Refused(404, "NOT_FOUND", "The requested resource does not exist").as_error()])
        return self._inner(inner)

    # --- batch --------------------------------------------------------------------------------------------------------
    def batch(self, call: Call) -> Answer:
        """Answers `POST /composite/batch`: independent parts, each counted. Raises Refused where the call is wrong."""
        if call.method != "POST":
            raise method_not_allowed(call, "POST")
        data = call.object(("haltOnError", "batchRequests"))
        parts, halts = data.get("batchRequests"), data.get("haltOnError", False)
        if not isinstance(parts, list) or not parts or not isinstance(halts, bool):
            raise bad_json("batchRequests must be an array of requests, and haltOnError true or false")
        if len(parts) > MOST_PARTS:
            raise Refused(400, "LIMIT_EXCEEDED", f"a batch has at most {MOST_PARTS} subrequests")
        results: list[dict[str, Any]] = []
        for index, part in enumerate(parts):
            if halts and any(r["statusCode"] >= 400 for r in results):
                told = Refused(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request parameter")
                answer = Answer(412, [told.as_error()])
            elif index and not self._count(1):
                answer = Answer(403, [Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").as_error()])
            else:
                answer = self._batch_part(call, part)
            results.append({"statusCode": answer.status, "result": answer.body})
        return Answer(200, {"hasErrors": any(r["statusCode"] >= 400 for r in results), "results": results})

    def _batch_part(self, call: Call, part: Any) -> Answer:
        if not isinstance(part, dict) or set(part) - {"method", "url", "richInput"}:
            raise bad_json("a subrequest has method, url and richInput")
        if part.get("method") not in METHODS or not isinstance(part.get("url"), str):
            raise bad_json("a subrequest needs a method and a url")
        url = part["url"].lstrip("/").removeprefix("services/data/")
        inner = _inner_call(call, part["method"], f"/services/data/{url}", part.get("richInput"), {})
        if inner.parts[:1] == ("composite",) and inner.parts[:2] != ("composite", "sobjects"):
            return Answer(404, [Refused(404, "NOT_FOUND", "The requested resource does not exist").as_error()])
        return self._inner(inner)


def _inner_call(call: Call, method: str, url: str, body: Any, headers: dict[str, str]) -> Call:
    target = urlsplit(url)
    parts = [unquote(p) for p in target.path.split("/") if p]
    outer = {name: value for name, value in call.headers.items() if name.startswith("sforce-")}
    return Call(
        method=method,
        version=parts[2].removeprefix("v") if len(parts) > 2 else "",
        parts=tuple(parts[3:]),
        query=target.query,
        headers={**outer, **{name.lower(): value for name, value in headers.items()}},
        body=b"",
        writer=call.writer,
        given=body,
        is_inner=True,
        base_url=call.base_url,
    )


def _own_failure(answer: Answer | None, halted: Answer) -> Answer:
    return answer if answer is not None and answer.status >= 400 else halted


def _shown(reference: str, answer: Answer) -> dict[str, Any]:
    return {"body": answer.body, "httpHeaders": dict(answer.headers), "httpStatusCode": answer.status, "referenceId": reference}


def _filled(given: Any, answers: dict[str, Answer]) -> Any:
    """Returns a value with each `@{id.path}` replaced by what it names. Raises Refused for what is not there."""
    if isinstance(given, dict):
        return {name: _filled(value, answers) for name, value in given.items()}
    if isinstance(given, list):
        return [_filled(value, answers) for value in given]
    if not isinstance(given, str):
        return given
    whole = _REFERENCE.fullmatch(given)
    if whole:
        return _named(whole, answers)
    return _REFERENCE.sub(lambda match: str(_named(match, answers)), given)


def _named(match: re.Match[str], answers: dict[str, Answer]) -> Any:
    reference, path = match.groups()
    answer = answers.get(reference)
    value = answer.body if answer is not None and answer.status < 300 else None
    for name, index in _STEP.findall(path):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        else:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
    if value is None:
        told = f"Invalid reference specified. No value for {reference}{path} found in {reference}"
        raise Refused(400, "PROCESSING_HALTED", told)
    return value
