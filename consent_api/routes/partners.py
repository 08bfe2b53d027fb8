"""What partners do: read the public lists and the stored releases of their own company."""

from hashlib import sha256
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response
from sqlalchemy import Connection

from consent_api import consents, releases
from consent_api.audit import Entry
from consent_api.callers.access import Visit, allow
from consent_api.catalogue import EVERYBODY
from consent_api.partner_role import partner_role
from consent_api.releases import Question, Shown
from consent_api.routes.partner_bodies import (
    CSV_EXAMPLE,
    EXAMPLE,
    Aggregates,
    Companies,
    CompanyBody,
    DataTypeBody,
    DataTypes,
    ReportQuery,
    SegmentBody,
    SeriesQuery,
)
from consent_api.spreadsheet import spreadsheet

router = APIRouter(tags=["partner"])
Anyone = Annotated[Visit, Depends(allow("client", "partner", "staff", "auditor"))]
READERS = allow("partner", "staff")
Reader = Annotated[Visit, Depends(READERS)]
Known = Annotated[str | None, Header(alias="If-None-Match", max_length=1000, description="ETag of the answer you have.")]
Accept = Annotated[str | None, Header(max_length=1000, include_in_schema=False)]
_JSON, _CSV = "application/json", "text/csv; charset=utf-8"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Stored documents, byte for byte; or why there are none.",
        "headers": {"ETag": {"description": "SHA-256 of the answer.", "schema": {"type": "string"}}},
        "content": {"application/json": {"example": EXAMPLE}, "text/csv": {"schema": {"type": "string"}, "example": CSV_EXAMPLE}},
    },
    304: {"description": "You have this answer."},
}


@router.get("/companies")
async def companies(visit: Anyone) -> Companies:
    """The companies that clients may consent to."""
    await visit.write(lambda connection: visit.note(connection, Entry("catalogue.read", "companies")))
    known = visit.service.catalogue.companies
    return Companies(companies=[CompanyBody(company=name, **company.model_dump()) for name, company in known.items()])


@router.get("/data-types")
async def data_types(visit: Anyone) -> DataTypes:
    """The data types that clients may consent to, the purposes, and how reports are broken down."""
    await visit.write(lambda connection: visit.note(connection, Entry("catalogue.read", "data-types")))
    catalogue = visit.service.catalogue
    return DataTypes(
        data_types=[
            DataTypeBody(data_type=name, title_ru=kind.title_ru, title_en=kind.title_en, released=kind.report is not None)
            for name, kind in catalogue.data_types.items()
        ],
        purposes=[{"purpose": name, **purpose.model_dump()} for name, purpose in catalogue.purposes.items()],
        segments=[
            SegmentBody(segment=name, title_ru=segment.title_ru, title_en=segment.title_en, cells=list(segment.labels))
            for name, segment in catalogue.segments.items()
        ],
    )


@router.get("/aggregated-data/{company}", response_model=Aggregates, responses=_ANSWERS)
async def aggregated(
    visit: Reader, company: str, asked: Annotated[ReportQuery, Query()], known: Known = None, accept: Accept = None
) -> Response:
    """Every release of the month, of every data type; without `period` the newest of each."""
    _require(visit, company)
    questions = [Question(company, name, periods=asked.months) for name in visit.service.catalogue.reports]
    return _response(company, await _read(visit, company, questions), _wants_csv(asked, accept), known)


@router.get("/aggregated-data/{company}/{data_type}", response_model=Aggregates, responses=_ANSWERS)
async def aggregated_of_type(
    visit: Reader,
    company: str,
    data_type: str,
    asked: Annotated[SeriesQuery, Query()],
    known: Known = None,
    accept: Accept = None,
) -> Response:
    """The releases of one data type, byte for byte as they were stored: of a month, or of several."""
    _require(visit, company)
    visit.service.catalogue.require_data_types([data_type], "data_type")
    if asked.segment is not None:
        visit.service.catalogue.require_segment(asked.segment)
    question = Question(company, data_type, asked.segment or EVERYBODY, asked.months)
    return _response(company, await _read(visit, company, [question]), _wants_csv(asked, accept), known)


def _require(visit: Visit, company: str) -> None:
    visit.service.catalogue.require_company(company)  # first, as the contract has it: GET /companies tells who there is
    visit.require_company(company)


async def _read(visit: Visit, company: str, questions: list[Question]) -> list[Shown]:
    reports = visit.service.catalogue.reports

    def read(connection: Connection) -> list[Shown]:
        consented = [
            each.data_type in reports
            and consents.any_active(connection, company, each.data_type, reports[each.data_type].purpose, visit.at)
            for each in questions
        ]
        with partner_role(connection):  # from here on no row about a client can be read
            found = [releases.shown(connection, each, active) for each, active in zip(questions, consented, strict=True)]
            served = [release for each in found if each.documents for release in each.releases]
            detail = {"data_type": questions[0].data_type if len(questions) == 1 else None, "segment": questions[0].segment}
            visit.note(connection, Entry("aggregate.read", f"company/{company}", detail | {"releases": served}))
        return found

    return await visit.write(read)


def _wants_csv(asked: ReportQuery, accept: str | None) -> bool:
    if asked.format is not None:
        return asked.format == "csv"
    accepted = {kind.partition(";")[0].strip().lower() for kind in (accept or "").split(",")}
    return "text/csv" in accepted and "application/json" not in accepted


def _envelope(company: str, found: list[Shown]) -> bytes:
    """The answer around the stored bytes, which stay exactly as they are."""
    documents = [document for each in found for document in each.documents]
    head = orjson.dumps({"company": company, "total_datasets": len(documents)})[:-1]
    if documents:
        return head + b',"data":[' + b",".join(documents) + b"]}"
    return head + b',"data":[],"message":' + orjson.dumps("; ".join(each.reason for each in found)) + b"}"


def _response(company: str, found: list[Shown], as_csv: bool, known: str | None) -> Response:
    body = spreadsheet(document for each in found for document in each.documents) if as_csv else _envelope(company, found)
    headers = {"ETag": f'"{sha256(body).hexdigest()}"', "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if known is not None and headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    if as_csv:
        headers["Content-Disposition"] = f'attachment; filename="{company}.csv"'
    return Response(body, media_type=_CSV if as_csv else _JSON, headers=headers)
