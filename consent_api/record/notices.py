"""The texts that clients consent to: what is shown for a company, a data type and a purpose, and the proof of what was shown."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy import Connection, and_, insert, or_, select

from consent_api.catalogue import BrokenCatalogue, Catalogue, Word, load_catalogue
from consent_api.record.validity import LONGEST_MONTHS
from consent_api.tables import NOTICES

Language = Literal["ru", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]{0,31}$")]
_ROWS_PER_QUERY = 100


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Controller(_Part):
    """Who answers for the processing, in both languages."""

    name_ru: str
    name_en: str
    address_ru: str
    address_en: str
    contact: str


class Texts(_Part):
    """catalogues/notices.toml: the text in force, with what it quotes."""

    version: _Version
    default_language: Language
    jurisdiction: str = Field(pattern=r"^[A-Z]{2}$")
    lawful_basis: Word
    collection_method: Word
    collection_ru: str
    collection_en: str
    controller: Controller
    text: dict[Language, str] = Field(min_length=len(LANGUAGES))


@dataclass(frozen=True)
class Notice:
    """One text as a client reads it, with everything it states; `notice_id` is the SHA-256 of all of it."""

    notice_id: str
    company: str
    data_type: str
    purpose: str
    document: dict[str, Any]

    @property
    def place(self) -> tuple[str, ...]:
        """What has one text only: version, language, company, data type, purpose."""
        return (self.document["version"], self.document["language"], self.company, self.data_type, self.purpose)


class Notices:
    """Every text in force, by company, data type, purpose and language."""

    def __init__(self, catalogue: Catalogue, texts: Texts) -> None:
        self.catalogue = catalogue
        self.version = texts.version
        self.default_language = texts.default_language
        self._shown = {
            (company, data_type, purpose, language): _notice(catalogue, texts, company, data_type, purpose, language)
            for company in catalogue.companies
            for data_type in catalogue.data_types
            for purpose in catalogue.purposes
            for language in LANGUAGES
        }
        self.documents = {notice.notice_id: notice.document for notice in self._shown.values()}

    def shown(self, company: str, data_type: str, purpose: str, language: Language | None = None) -> Notice:
        """The text for one consent; by default in the language that clients are addressed in.

        Raises:
            NotInCatalogue: no such company, data type or purpose.
        """
        self.catalogue.require_company(company)
        self.catalogue.require_data_types([data_type])
        self.catalogue.require_purpose(purpose)
        return self._shown[company, data_type, purpose, language or self.default_language]

    def of_company(self, company: str, language: Language) -> list[Notice]:
        """Every text about one company.

        Raises:
            NotInCatalogue: no such company.
        """
        self.catalogue.require_company(company)
        return [notice for key, notice in self._shown.items() if (key[0], key[3]) == (company, language)]

    def all(self) -> list[Notice]:
        """Every text in force."""
        return list(self._shown.values())


def load_notices(folder: Path) -> Notices:
    """Read notices.toml and the lists that its texts quote.

    Raises:
        BrokenCatalogue: a file is absent, is not TOML, or a text quotes something that does not exist.
    """
    try:
        texts = Texts.model_validate(tomllib.loads((folder / "notices.toml").read_text(encoding="utf-8")))
        return Notices(load_catalogue(folder), texts)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise BrokenCatalogue(f"{folder / 'notices.toml'} cannot be used: {error}") from error
    except (KeyError, IndexError, ValueError) as error:
        raise BrokenCatalogue(f"{folder / 'notices.toml'}: a text quotes {error}, which is not one of its blanks") from error


def notices_of(connection: Connection) -> Notices:
    """The texts in force where `connection` was opened, which a `Store` has done."""
    notices = connection.get_execution_options()["notices"]
    assert isinstance(notices, Notices)
    return notices


def keep(connection: Connection, notices: Iterable[Notice], at: datetime) -> None:
    """Store the texts that are not stored yet, in the caller's writing transaction: a consent proves what was shown with them.

    Raises:
        BrokenCatalogue: a version that was stored before says something else now.
    """
    wanted = {notice.place: notice for notice in notices}
    known = _stored(connection, list(wanted))
    for place, notice_id in known.items():
        if notice_id != wanted[place].notice_id:
            raise BrokenCatalogue(
                f"the text of version {place[0]} ({', '.join(place[1:])}) is not the one that clients were shown: "
                "give notices.toml a new version, or put the text and the catalogues it quotes back"
            )
    rows = [_row(notice, at) for place, notice in wanted.items() if place not in known]
    if rows:
        connection.execute(insert(NOTICES), rows)


def former(connection: Connection, company: str, version: str, language: Language) -> list[Notice]:
    """The texts about a company that clients were shown under an earlier version, as they were kept."""
    named = {"company": company, "version": version, "language": language}
    chosen = (NOTICES.c[name] == value for name, value in named.items())
    rows = connection.execute(select(NOTICES).where(*chosen).order_by(NOTICES.c.data_type, NOTICES.c.purpose))
    return [Notice(row.notice_id, row.company, row.data_type, row.purpose, orjson.loads(row.document)) for row in rows]


def documents(connection: Connection, notice_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What the stored texts state, by their ids, which are hashes of it; those in force need no looking up."""
    in_force = notices_of(connection).documents
    wanted = set(notice_ids)
    found = {notice_id: in_force[notice_id] for notice_id in wanted & in_force.keys()}
    if len(found) < len(wanted):
        former = select(NOTICES.c.notice_id, NOTICES.c.document).where(NOTICES.c.notice_id.in_(wanted - in_force.keys()))
        found |= {notice_id: orjson.loads(document) for notice_id, document in connection.execute(former)}
    return found


def _notice(catalogue: Catalogue, texts: Texts, company: str, data_type: str, purpose: str, language: Language) -> Notice:
    def said(thing: BaseModel, name: str) -> str:
        return str(getattr(thing, f"{name}_{language}"))

    recipient, controller = catalogue.companies[company], texts.controller
    blanks = {
        "controller": said(controller, "name"),
        "address": said(controller, "address"),
        "contact": controller.contact,
        "recipient": said(recipient, "name"),
        "about": said(recipient, "about"),
        "data_type": said(catalogue.data_types[data_type], "title"),
        "purpose": said(catalogue.purposes[purpose], "text"),
        "collection": said(texts, "collection"),
        "months": LONGEST_MONTHS,
    }
    text = texts.text[language].format(**blanks)
    document = {
        "version": texts.version,
        "language": language,
        "text": text,
        "text_sha256": sha256(text.encode()).hexdigest(),
        "controller": {
            name: blanks[key] for name, key in (("name", "controller"), ("address", "address"), ("contact", "contact"))
        },
        "recipient": blanks["recipient"],
        "purpose": blanks["purpose"],
        "lawful_basis": texts.lawful_basis,
        "collection_method": texts.collection_method,
        "jurisdiction": texts.jurisdiction,
    }
    codes = [company, data_type, purpose]
    notice_id = sha256(orjson.dumps([*codes, document], option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Notice(notice_id, company, data_type, purpose, document)


def _stored(connection: Connection, places: list[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    columns = (NOTICES.c.version, NOTICES.c.language, NOTICES.c.company, NOTICES.c.data_type, NOTICES.c.purpose)
    found = {}
    for start in range(0, len(places), _ROWS_PER_QUERY):
        these = [
            and_(*(column == value for column, value in zip(columns, place, strict=True)))
            for place in places[start : start + _ROWS_PER_QUERY]
        ]
        for row in connection.execute(select(*columns, NOTICES.c.notice_id).where(or_(*these))):
            found[tuple(row[:-1])] = row[-1]
    return found


def _row(notice: Notice, at: datetime) -> dict[str, Any]:
    version, language, company, data_type, purpose = notice.place
    return {
        "notice_id": notice.notice_id,
        "version": version,
        "language": language,
        "company": company,
        "data_type": data_type,
        "purpose": purpose,
        "document": orjson.dumps(notice.document, option=orjson.OPT_SORT_KEYS).decode(),
        "at": at,
    }
