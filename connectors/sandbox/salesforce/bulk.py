"""Bulk API 2.0: jobs that take a CSV in, and jobs that give the rows of a query as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.salesforce import ids, soql_run
from connectors.sandbox.salesforce.calls import CSV, Answer, Call, method_not_allowed
from connectors.sandbox.salesforce.cells import from_text
from connectors.sandbox.salesforce.records import Records, Writer
from connectors.sandbox.salesforce.refusal import Refused, bad_parameter, not_found
from connectors.sandbox.salesforce.schema import Field, SObject
from connectors.sandbox.salesforce.soql_parser import parse
from connectors.sandbox.salesforce.soql_run import Selection
from connectors.sandbox.wire import read_id

PREFIX = "750"
DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
OPERATIONS = ("insert", "update", "upsert", "delete")
MOST_BYTES = 150 * 1024 * 1024
MOST_JOBS = 200
JOB_DAYS = 7
DEFAULT_ROWS = 50_000
NULL = "#N/A"
LONGEST_CELL = 32_000


@dataclass(slots=True)
class Job:
    """One job. `done` are (id, was created, cells) of rows that were written, `failed` (id, error, cells)."""

    id: str
    object_name: str
    operation: str
    user: str
    created_at: str
    version: float
    key: str = ""
    delimiter: str = "COMMA"
    ending: str = "LF"
    state: str = "Open"
    ready_at: str = ""  # until then it says UploadComplete or InProgress
    data: bytes | None = None
    message: str = ""
    header: list[str] = field(default_factory=list)
    done: list[tuple[str, bool, list[str]]] = field(default_factory=list)
    failed: list[tuple[str, str, list[str]]] = field(default_factory=list)
    unprocessed: list[list[str]] = field(default_factory=list)
    selection: Selection | None = None

    @property
    def is_query(self) -> bool:
        return self.operation in ("query", "queryAll")


class Bulk:
    """Answers everything under `/jobs`. Jobs do not outlive the program."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._jobs: dict[str, Job] = {}
        self.next_number = 1

    def answer(self, call: Call) -> Answer:
        """Answers a call. Raises Refused."""
        rest = call.parts[1:]
        if not rest or rest[0] not in ("ingest", "query"):
            raise not_found()
        self._forget_old()
        is_query = rest[0] == "query"
        if len(rest) == 1:
            return self._jobs_call(call, is_query)
        job = self._jobs.get(ids.read(rest[1]) or "")
        if job is None or job.is_query != is_query:
            raise not_found()
        if len(rest) == 2:
            return self._job_call(call, job)
        return self._part(call, job, rest[2].lower() if len(rest) == 3 else "")

    def _forget_old(self) -> None:
        oldest = self._records.stamp(-JOB_DAYS * 86400)
        for id_ in [i for i, job in self._jobs.items() if job.created_at < oldest][: len(self._jobs)]:
            del self._jobs[id_]
        while len(self._jobs) > MOST_JOBS:
            del self._jobs[next(iter(self._jobs))]

    # --- jobs ---------------------------------------------------------------------------------------------------------
    def _jobs_call(self, call: Call, is_query: bool) -> Answer:
        if call.reads:
            own = [self._shown(job) for job in self._jobs.values() if job.is_query == is_query]
            return Answer(200, {"done": True, "nextRecordsUrl": None, "records": own})
        if call.method != "POST":
            raise method_not_allowed(call, "HEAD", "GET", "POST")
        job = self._new_query(call) if is_query else self._new_ingest(call)
        self.next_number += 1
        self._jobs[job.id] = job
        return Answer(200, self._shown(job))

    def _new(self, call: Call, object_name: str, operation: str, data: dict[str, Any]) -> Job:
        delimiter, ending = data.get("columnDelimiter", "COMMA"), data.get("lineEnding", "LF")
        if delimiter not in DELIMITERS or ending not in ENDINGS or data.get("contentType", "CSV") != "CSV":
            raise _bad_job("columnDelimiter, lineEnding or contentType is not supported")
        id_ = ids.make(PREFIX, self.next_number)
        version = float(call.version)
        now = self._records.stamp()
        return Job(id_, object_name, operation, call.writer.user, now, version, delimiter=str(delimiter), ending=str(ending))

    def _new_ingest(self, call: Call) -> Job:
        data = call.object(("object", "operation", "externalIdFieldName", "contentType", "lineEnding", "columnDelimiter"))
        object_ = self._records.schema.objects.get(str(data.get("object")))
        if object_ is None:
            raise _bad_job(f"Unable to find object: {str(data.get('object'))[:80]}")
        if data.get("operation") not in OPERATIONS:
            raise _bad_job(f"operation must be one of {', '.join(OPERATIONS)}")
        job = self._new(call, object_.name, str(data["operation"]), data)
        job.key = str(data.get("externalIdFieldName") or "")
        if job.operation == "upsert":
            key = object_.fields.get(job.key)
            if key is None or not key.is_key:
                raise _bad_job("externalIdFieldName must name an external id or look-up field")
        elif job.key:
            raise _bad_job("externalIdFieldName is for upserts")
        return job

    def _new_query(self, call: Call) -> Job:
        data = call.object(("operation", "query", "contentType", "lineEnding", "columnDelimiter"))
        if data.get("operation") not in ("query", "queryAll") or not isinstance(data.get("query"), str):
            raise _bad_job("a query job needs operation, query or queryAll, and query")
        query = parse(data["query"])
        if query.is_count or query.offset:
            raise Refused(400, "API_ERROR", "Aggregates and OFFSET are not supported in bulk queries")
        sees_deleted = data["operation"] == "queryAll"
        selection = soql_run.select(self._records, query, user=call.writer.user, sees_deleted=sees_deleted)
        job = self._new(call, selection.object.name, str(data["operation"]), data)
        job.selection, job.state = selection, "UploadComplete"
        job.ready_at = self._records.stamp(self._records.switches.bulk_seconds)
        return job

    def _state(self, job: Job) -> str:
        if job.state in ("UploadComplete", "JobComplete", "Failed") and job.ready_at:
            if self._records.stamp() < job.ready_at:
                return "InProgress"
            return "Failed" if job.state == "Failed" else "JobComplete"
        return job.state

    def _shown(self, job: Job) -> dict[str, Any]:
        """Returns what a job says of itself."""
        state = self._state(job)
        kind = "query" if job.is_query else "ingest"
        shown: dict[str, Any] = {
            "id": job.id,
            "operation": job.operation,
            "object": job.object_name,
            "createdById": job.user,
            "createdDate": job.created_at,
            "systemModstamp": job.created_at,
            "state": state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": job.version,
            "lineEnding": job.ending,
            "columnDelimiter": job.delimiter,
            "jobType": "V2Query" if job.is_query else "V2Ingest",
        }
        if job.key:
            shown["externalIdFieldName"] = job.key
        if state == "Open":
            shown["contentUrl"] = f"services/data/v{job.version:.1f}/jobs/{kind}/{job.id}/batches"
        if state in ("JobComplete", "Failed"):
            rows = len(job.selection.ids) if job.selection else len(job.done) + len(job.failed)
            shown.update({"numberRecordsProcessed": rows, "retries": 0, "totalProcessingTime": rows})
            if not job.is_query:
                shown["numberRecordsFailed"] = len(job.failed)
        if job.message and state == "Failed":
            shown["errorMessage"] = job.message
        return shown

    def _job_call(self, call: Call, job: Job) -> Answer:
        if call.reads:
            return Answer(200, self._shown(job))
        if call.method == "DELETE":
            if self._state(job) not in ("JobComplete", "Failed", "Aborted"):
                raise _bad_job("a job that is not finished cannot be deleted; abort it first")
            del self._jobs[job.id]
            return Answer(204)
        if call.method != "PATCH":
            raise method_not_allowed(call, "HEAD", "GET", "PATCH", "DELETE")
        wanted = call.object(("state",)).get("state")
        if wanted == "Aborted" and self._state(job) not in ("JobComplete", "Failed"):
            job.state, job.ready_at = "Aborted", ""
        elif wanted == "UploadComplete" and job.state == "Open" and job.data is not None:
            shown = {**self._shown(job), "state": "UploadComplete"}
            shown.pop("contentUrl", None)
            self._carry_out(job, call.writer)
            return Answer(200, shown)
        else:
            raise _bad_job(f"the state cannot be set to {str(wanted)[:40]} now")
        return Answer(200, self._shown(job))

    # --- what a job takes and gives -----------------------------------------------------------------------------------
    def _part(self, call: Call, job: Job, name: str) -> Answer:
        if name == "batches" and not job.is_query:
            return self._upload(call, job)
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        if name == "results" and job.is_query:
            return self._results(call, job)
        known = ("successfulresults", "failedresults", "unprocessedrecords")
        if job.is_query or name not in known:
            raise not_found()
        if self._state(job) not in ("JobComplete", "Failed", "Aborted"):
            raise _bad_job("the job is not finished")
        if name == "successfulresults":
            rows = [[id_, "true" if is_new else "false", *cells] for id_, is_new, cells in job.done]
            return self._csv(job, ["sf__Id", "sf__Created", *job.header], rows)
        if name == "failedresults":
            return self._csv(job, ["sf__Id", "sf__Error", *job.header], [[id_, error, *cells] for id_, error, cells in job.failed])
        return self._csv(job, job.header, job.unprocessed)

    def _upload(self, call: Call, job: Job) -> Answer:
        if call.method != "PUT":
            raise method_not_allowed(call, "PUT")
        if not call.headers.get("content-type", "").lower().startswith(CSV):
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be text/csv")
        if job.state != "Open" or job.data is not None:
            raise _bad_job("the job takes no more data")
        if len(call.body) > MOST_BYTES:
            raise Refused(413, "REQUEST_ENTITY_TOO_LARGE", "the data is larger than 150 MB")
        job.data = call.body
        return Answer(201)

    def _results(self, call: Call, job: Job) -> Answer:
        """Returns the rows behind a locator, with the next one in a header."""
        if self._state(job) != "JobComplete" or job.selection is None:
            raise _bad_job("the job is not finished")
        text = call.parameters.get("locator") or "0"
        start = read_id(text)
        if start is None or start > len(job.selection.ids):
            raise bad_parameter("locator is none of this job")
        end = start + call.number("maxRecords", DEFAULT_ROWS, 1, 10**9)
        view = self._records.view(job.user)
        found = (soql_run.values(job.selection, view, id_) for id_ in job.selection.ids[start:end])
        rows = [[_cell(value) for value in row] for row in found if row is not None]
        answer = self._csv(job, [column.name for column in job.selection.columns], rows)
        locator = str(end) if end < len(job.selection.ids) else "null"
        answer.headers += [("Sforce-Locator", locator), ("Sforce-NumberOfRecords", str(len(rows)))]
        return answer

    @staticmethod
    def _csv(job: Job, header: list[str], rows: Iterable[list[str]]) -> Answer:
        out = io.StringIO()
        writer = csv.writer(out, delimiter=DELIMITERS[job.delimiter], lineterminator=ENDINGS[job.ending], quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        writer.writerows(rows)
        return Answer(200, out.getvalue(), content_type=CSV)

    # --- carrying out -------------------------------------------------------------------------------------------------
    def _carry_out(self, job: Job, writer: Writer) -> None:
        """Writes the rows of a job that was uploaded; what is wrong with the file as a whole fails the job."""
        job.ready_at = self._records.stamp(self._records.switches.bulk_seconds)
        job.state = "JobComplete"
        object_ = self._records.schema.objects[job.object_name]
        try:
            rows = self._rows(job)
            columns = self._columns(job, object_)
        except Refused as error:
            job.state, job.message = "Failed", f"{error.code} : {error.message}"
            return
        for cells in rows:
            self._carry_out_row(job, object_, columns, cells, writer)
        job.data = b""

    @staticmethod
    def _rows(job: Job) -> list[list[str]]:
        """Returns the rows behind the header. Raises Refused for what is no CSV as the job announced it."""
        try:
            text = (job.data or b"").decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Refused(400, "ClientInputError", "Failed to read query. The data is not UTF-8") from None
        if ("\r\n" in text) != (job.ending == "CRLF") and "\n" in text.rstrip("\r\n"):
            told = f"LineEnding is invalid on user data. Current LineEnding setting is {job.ending}"
            raise Refused(400, "ClientInputError", told)
        before = csv.field_size_limit(MOST_BYTES)
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter], strict=True))
        except csv.Error as error:
            raise Refused(400, "ClientInputError", f"the data is no CSV: {error}") from None
        finally:
            csv.field_size_limit(before)
        job.header = [name.strip() for name in rows[0]] if rows else []
        return [row for row in rows[1:] if row]

    @staticmethod
    def _columns(job: Job, object_: SObject) -> list[tuple[Field, str]]:
        """Returns what each column is: a field, and the key field of its parent where it goes by that. Raises Refused."""
        found = []
        for name in job.header:
            relation, dot, key = name.partition(".")
            column = object_.relations.get(relation.lower()) if dot else object_.fields.get(name)
            if column is None:
                raise Refused(400, "InvalidBatch", f"Field name not found : {name[:80]}")
            found.append((column, key))
        if not found:
            raise Refused(400, "InvalidBatch", "The data has no header")
        if job.operation in ("update", "delete") and "Id" not in job.header:
            raise Refused(400, "InvalidBatch", "The data has no column Id")
        if job.operation == "upsert" and job.key not in job.header:
            raise Refused(400, "InvalidBatch", f"The data has no column {job.key}")
        return found

    def _carry_out_row(self, job: Job, object_: SObject, columns: list[tuple[Field, str]], cells: list[str], writer: Writer) -> None:
        start = self._records.savepoint()
        id_ = ""
        try:
            if len(cells) != len(columns):
                raise Refused(400, "INVALID_FIELD", f"the row has {len(cells)} cells instead of {len(columns)}", [])
            given = _values(columns, cells)
            id_ = str(given.get("Id") or "")
            act: Callable[..., tuple[str, bool]] = {
                "insert": self._insert, "update": self._update, "upsert": self._upsert, "delete": self._delete,
            }[job.operation]  # fmt: skip
            job.done.append((*act(job, object_, given, writer), cells))
        except Refused as error:
            self._records.roll_back(start)
            job.failed.append((id_, f"{error.code}:{error.message}:{', '.join(error.fields or [])} --", cells))

    def _insert(self, job: Job, object_: SObject, given: dict[str, Any], writer: Writer) -> tuple[str, bool]:
        return self._records.create(object_.name, given, writer)["Id"], True

    def _update(self, job: Job, object_: SObject, given: dict[str, Any], writer: Writer) -> tuple[str, bool]:
        id_ = self._known(object_, given.pop("Id", None))
        self._records.update(object_.name, id_, given, writer)
        return id_, False

    def _delete(self, job: Job, object_: SObject, given: dict[str, Any], writer: Writer) -> tuple[str, bool]:
        id_ = self._known(object_, given.get("Id"))
        self._records.delete(object_.name, id_, writer)
        return id_, False

    def _upsert(self, job: Job, object_: SObject, given: dict[str, Any], writer: Writer) -> tuple[str, bool]:
        if job.key == "Id":
            return self._update(job, object_, given, writer) if given.get("Id") else self._insert(job, object_, given, writer)
        key = given.get(job.key)
        if key is None:
            raise Refused(400, "MISSING_ARGUMENT", f"{job.key} not specified", [])
        found = self._records.by_key(object_.name, object_.fields[job.key], key)
        if len(found) > 1:
            told = f"{job.key}: more than one record found for external id field: [{', '.join(found)}]"
            raise Refused(400, "DUPLICATE_EXTERNAL_ID", told, [job.key])
        if not found:
            return self._insert(job, object_, given, writer)
        self._records.update(object_.name, found[0], given, writer)
        return found[0], False

    def _known(self, object_: SObject, text: Any) -> str:
        """Returns the id of a record that is there. Raises Refused."""
        id_ = ids.read(text)
        if id_ is None or id_[:3] != object_.prefix:
            raise Refused(400, "MALFORMED_ID", f"{object_.label} ID: id value of incorrect type: {str(text)[:80]}", ["Id"])
        row = self._records.seen(object_.name, id_)
        if row is None:
            raise Refused(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if row.get("IsDeleted"):
            raise Refused(400, "ENTITY_IS_DELETED", "entity is deleted", [])
        return id_


def _values(columns: list[tuple[Field, str]], cells: list[str]) -> dict[str, Any]:
    """Returns what a row gives: an empty cell changes nothing, `#N/A` clears."""
    given: dict[str, Any] = {}
    for (column, key), cell in zip(columns, cells, strict=True):
        if cell == "":
            continue
        if len(cell) > LONGEST_CELL:
            raise Refused(400, "STRING_TOO_LONG", f"{column.label}: a field has at most {LONGEST_CELL} characters", [column.name])
        if key:
            given[column.relationship] = {key: cell}
        else:
            given[column.name] = None if cell == NULL else from_text(column, cell)
    return given


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ";".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bad_job(sentence: str) -> Refused:
    return Refused(400, "INVALIDJOB", f"InvalidJob : {sentence}")
