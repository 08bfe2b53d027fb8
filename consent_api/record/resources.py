"""Consents as the endpoints and the receipts show them: records with the fields of ISO/IEC TS 27560."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from consent_api import consents
from consent_api.custody.outside import custody_of
from consent_api.record import notices
from consent_api.record.current import Record, consent_id, newest, version
from consent_api.record.states import ACTIVE, State


class Part(BaseModel):
    """Something with just these fields."""

    model_config = ConfigDict(extra="forbid")


class ControllerBody(Part):
    """Who answers for the processing."""

    name: str
    address: str
    contact: str


class RecipientBody(Part):
    """Who gets the aggregates."""

    company: str
    name: str


class PurposeBody(Part):
    """What for: the code of the purpose, and its text as the client read it."""

    code: str
    text: str


class NoticeBody(Part):
    """Which text was shown; GET /consent-notices has those in force word for word."""

    version: str
    text_sha256: str = Field(description="SHA-256 of the text in UTF-8.")


class EventBody(Part):
    """What happened to the record, whose doing it was, by which channel and when."""

    what: State
    who: str = Field(description="The role: client, staff, clock or another.")
    channel: str
    reason: str
    at: datetime


class RecordBody(Part):
    """One consent: one recipient, one data type, one purpose, one version of the text."""

    record_id: str
    schema_version: Literal["ISO/IEC TS 27560:2023, Opora 1"] = Field(
        "ISO/IEC TS 27560:2023, Opora 1", description="Of record.schema.json; the last part grows when the schema changes."
    )
    subject_pseudonym: str = Field(description="Stands for the client; another for every recipient.")
    controller: ControllerBody
    recipient: RecipientBody
    purpose: PurposeBody
    data_types: list[str]
    lawful_basis: str
    notice: NoticeBody
    language: str = Field(description="Of the text that was shown.")
    collection_method: str = Field(description="How the data come about.")
    jurisdiction: str
    given_at: datetime | None = Field(description="When the client agreed; null for a request that was never approved.")
    valid_until: datetime = Field(description="The consent does not count from this moment on.")
    status: State
    status_reason: str
    status_update_at: datetime
    previous_record_id: str | None = Field(description="The record that this one follows.")
    events: list[EventBody] = Field(description="Everything that happened to the record, oldest first.")


class ConsentBody(BaseModel):
    """What a client has decided on one company."""

    consent_id: str
    client_id: str
    company: str
    version: int = Field(description="Grows with every change; the ETag, and what If-Match has to name.")
    is_active: bool = Field(description="Whether any data type is consented to now.")
    data_types: list[str] = Field(description="The data types consented to now.")
    status_update_at: datetime | None = Field(description="When any of it changed last; null when nothing ever happened.")
    expiration: datetime | None = Field(description="When the last of what is active ends; null when nothing is.")
    records: list[RecordBody] = Field(description="The newest record of each data type and purpose.")


def of_company(connection: Connection, client_code: str, company: str, at: datetime) -> ConsentBody:
    """What a client has decided on a company; of version 0 when it was never given or asked for."""
    consents.expire(connection, at, company, {client_code})
    return as_written(connection, client_code, company)


def as_written(connection: Connection, client_code: str, company: str) -> ConsentBody:
    """`of_company` in a transaction that has written down already what time has ended."""
    found = _bodies(connection, newest(connection, {client_code}, company))
    return found[0] if found else _consent(client_code, company, [], 0, {}, "")


def of_client(connection: Connection, client_code: str, at: datetime) -> list[ConsentBody]:
    """What a client has decided on every company, in the order of their names."""
    return _bodies(connection, consents.of_client(connection, client_code, at))


def _bodies(connection: Connection, records: Iterable[Record]) -> list[ConsentBody]:
    ordered = sorted(records, key=lambda record: record.key)
    texts = notices.documents(connection, {record.notice_id for record in ordered})
    bodies = []
    for (client_code, company), of in groupby(ordered, lambda record: (record.client_code, record.company)):
        number = version(connection, client_code, company)
        pseudonym = custody_of(connection).pseudonym(client_code, company)
        bodies.append(_consent(client_code, company, list(of), number, texts, pseudonym))
    return bodies


def _consent(
    client_code: str, company: str, records: list[Record], number: int, texts: dict[str, dict[str, Any]], pseudonym: str
) -> ConsentBody:
    active = [record for record in records if record.state == ACTIVE]
    return ConsentBody(
        consent_id=consent_id(client_code, company),
        client_id=client_code,
        company=company,
        version=number,
        is_active=bool(active),
        data_types=sorted({record.data_type for record in active}),
        status_update_at=max((record.status_update_at for record in records), default=None),
        expiration=max((record.valid_until for record in active), default=None),
        records=[_record(record, texts[record.notice_id], pseudonym) for record in records],
    )


def _record(record: Record, text: dict[str, Any], pseudonym: str) -> RecordBody:
    return RecordBody(
        record_id=record.record_id,
        subject_pseudonym=pseudonym,
        controller=ControllerBody(**text["controller"]),
        recipient=RecipientBody(company=record.company, name=text["recipient"]),
        purpose=PurposeBody(code=record.purpose, text=text["purpose"]),
        data_types=[record.data_type],
        lawful_basis=text["lawful_basis"],
        notice=NoticeBody(version=text["version"], text_sha256=text["text_sha256"]),
        language=text["language"],
        collection_method=text["collection_method"],
        jurisdiction=text["jurisdiction"],
        given_at=record.given_at,
        valid_until=record.valid_until,
        status=record.state,
        status_reason=record.status_reason,
        status_update_at=record.status_update_at,
        previous_record_id=record.previous_record_id,
        events=[
            EventBody(what=event.state, who=event.role, channel=event.channel, reason=event.reason, at=event.at)
            for event in record.events
        ],
    )
