"""What partners do: read the public lists and the stored releases of their own company."""

from hashlib import sha256
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response

from consent_api import releases
from consent_api.access import Visit, allow
from consent_api.audit import Entry
from consent_api.bodies import Aggregates, Companies, CompanyBody, DataTypeBody, DataTypes, PeriodQuery
from consent_api.periods import Period
from consent_api.releases import Shown

router = APIRouter(tags=["partner"])
Anyone = Annotated[Visit, Depends(allow("client", "partner", "staff"))]
Reader = Annotated[Visit, Depends(allow("partner", "staff"))]
Months = Annotated[PeriodQuery, Query()]
Known = Annotated[str | None, Header(alias="If-None-Match", max_length=1000, description="ETag of the answer you have.")]


@router.get("/companies")
def companies(visit: Anyone) -> Companies:
    """The companies that clients may consent to."""
    known = visit.service.catalogue.companies
    return Companies(companies=[CompanyBody(company=name, **company.model_dump()) for name, company in known.items()])


@router.get("/data-types")
def data_types(visit: Anyone) -> DataTypes:
    """The data types that clients may consent to, and the purposes."""
    catalogue = visit.service.catalogue
    kinds = [
        DataTypeBody(data_type=name, title_ru=kind.title_ru, title_en=kind.title_en, released=kind.report is not None)
        for name, kind in catalogue.data_types.items()
    ]
    return DataTypes(
        data_types=kinds, purposes=[{"purpose": name, **purpose.model_dump()} for name, purpose in catalogue.purposes.items()]
    )


@router.get("/aggregated-data/{company}", response_model=Aggregates)
def aggregated(visit: Reader, company: str, months: Months, known: Known = None) -> Response:
    """Every release of the month, of every data type; without `period` the newest of each."""
    return _serve(visit, company, None, months, known)


@router.get("/aggregated-data/{company}/{data_type}", response_model=Aggregates)
def aggregated_of_type(visit: Reader, company: str, data_type: str, months: Months, known: Known = None) -> Response:
    """The release of one data type, byte for byte as it was stored."""
    return _serve(visit, company, data_type, months, known)


def _serve(visit: Visit, company: str, data_type: str | None, months: PeriodQuery, known: str | None) -> Response:
    visit.require_company(company)
    catalogue = visit.service.catalogue
    catalogue.require_company(company)
    if data_type is not None:
        catalogue.require_data_types([data_type], "data_type")
    period = Period.of(months.period) if months.period else None
    purposes = {name: report.purpose for name, report in catalogue.reports.items()}
    wanted = list(purposes) if data_type is None else [data_type]
    with visit.writing() as connection:
        found = [releases.shown(connection, company, name, purposes.get(name), period, visit.at) for name in wanted]
        served = [release for each in found if each.documents for release in each.releases]
        visit.note(connection, Entry("aggregate.read", f"company/{company}", {"data_type": data_type, "releases": served}))
    return _response(_envelope(company, found), known)


def _envelope(company: str, found: list[Shown]) -> bytes:
    """The answer around the stored bytes, which stay exactly as they are."""
    documents = [document for each in found for document in each.documents]
    head = orjson.dumps({"company": company, "total_datasets": len(documents)})[:-1]
    if documents:
        return head + b',"data":[' + b",".join(documents) + b"]}"
    return head + b',"data":[],"message":' + orjson.dumps("; ".join(each.reason for each in found)) + b"}"


def _response(body: bytes, known: str | None) -> Response:
    headers = {"ETag": f'"{sha256(body).hexdigest()}"', "Cache-Control": "private, no-cache"}
    if known is not None and headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
