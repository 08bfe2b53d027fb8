"""Promises of what partners read: templates and no filters, segments, series of months, CSV that no spreadsheet executes."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from consent_api import consents, releases
from consent_api.audit import Actor
from consent_api.budget import Caps
from consent_api.consents import Grant
from consent_api.periods import Period
from consent_api.releases import Order, Subject
from consent_api.spreadsheet import HEADER, spreadsheet

ACTOR = Actor("flow:aggregate", "flow")
COMPANY, KIND = "dala-market", "category_spending"
PATH = f"/aggregated-data/{COMPANY}/{KIND}"
MONTHS = [Period(2026, month) for month in (7, 8, 10)]


def document(period: Period, segment: str = "all") -> bytes:
    """A stored document with a figure of its own per month and segment."""
    spent = {"Такси": 100 * period.month}
    figures = {"spending_by_category": spent, "top_category": "Такси", "total": 100 * period.month}
    stated = {"spending_by_category": 7.5, "total": 7.5}
    if segment != "all":
        figures = {"segment": segment, "cells": {"=1+1": figures | {"sample_size": 90}, "Алматы": figures | {"sample_size": 95}}}
        stated = {"cells": {cell: stated | {"sample_size": 2.5} for cell in ("=1+1", "Алматы")}}
    return json.dumps(
        {
            "company": COMPANY,
            "data_type": KIND,
            "metrics": figures,
            "sample_size": 185,
            "generated_at": "2026-11-02T00:00:00+00:00",
            "privacy": {"period": str(period), "standard_deviation": stated | {"sample_size": 2.5}},
        }
    ).encode()


@pytest.fixture
def call(bank):
    """A partner with releases of three months, August's suppressed."""
    with bank.store.writing() as connection:
        consents.grant(connection, [Grant("1", COMPANY, KIND, "market_statistics")], ACTOR, bank.clock())
    for period in MONTHS:
        order = Order(Subject(COMPANY, KIND, period), "market_statistics", 0.01)
        (begun,) = releases.begin(bank.store, [order], Caps(9, 9), ACTOR, bank.clock)
        shown = {name: document(period, name) if period.month != 8 else None for name in ("all", "age_group", "city")}
        releases.publish(bank.store, [(begun, shown)], ACTOR, datetime(2026, 11, 2, tzinfo=UTC))
    return bank.caller("partner", COMPANY)


def months(answer) -> list[str]:
    return [each["privacy"]["period"] for each in answer.json()["data"]]


def test_without_a_period_the_newest_is_served_and_with_one_that_one(call) -> None:
    assert months(call("GET", PATH)) == ["2026-10"]
    assert months(call("GET", PATH, params={"period": "2026-07"})) == ["2026-07"]
    assert months(call("GET", PATH, params={"period": "2026-06"})) == []


def test_a_series_joins_the_releases_of_the_months_oldest_first_as_they_were_stored(call) -> None:
    answer = call("GET", PATH, params={"periods": "2026-01..2026-12"})
    assert months(answer) == ["2026-07", "2026-10"]
    assert document(MONTHS[0]) + b"," + document(MONTHS[2]) in answer.content
    assert months(call("GET", PATH, params={"periods": "2026-08..2026-09"})) == []


def test_a_segment_is_served_from_the_document_of_that_segment(call) -> None:
    for segment in ("age_group", "city"):
        answer = call("GET", PATH, params={"segment": segment, "period": "2026-10"})
        assert document(MONTHS[2], segment) in answer.content
        assert answer.json()["total_datasets"] == 1


def test_the_etag_is_of_the_bytes_and_what_is_known_is_not_sent_again(call) -> None:
    answers = {text: call("GET", PATH, headers={"Accept": text}) for text in ("application/json", "text/csv")}
    assert len({answer.headers["ETag"] for answer in answers.values()}) == 2
    for text, answer in answers.items():
        assert answer.headers["ETag"].startswith('"')
        again = call("GET", PATH, headers={"Accept": text, "If-None-Match": f'"other", {answer.headers["ETag"]}'})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])
        assert call("GET", PATH, headers={"Accept": text, "If-None-Match": '"other"'}).content == answer.content


@pytest.mark.parametrize(
    ("parameters", "accept"), [({"format": "csv"}, "application/json"), ({}, "text/csv"), ({"format": "csv"}, "*/*")]
)
def test_csv_has_a_row_per_figure_with_its_deviation(call, parameters, accept) -> None:
    answer = call("GET", PATH, params={"periods": "2026-07..2026-10", **parameters}, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert tuple(rows[0]) == HEADER
    assert [row[2] for row in rows[1:]] == ["2026-07"] * 4 + ["2026-10"] * 4
    assert rows[1] == [COMPANY, KIND, "2026-07", "all", "all", "spending_by_category", "Такси", "700", "7.5"]
    assert rows[2][5:] == ["top_category", "", "Такси", ""]
    assert rows[4][5:] == ["sample_size", "", "185", "2.5"]


def test_json_is_what_browsers_and_clients_without_a_wish_get(call) -> None:
    for accept in ("*/*", "application/json, text/csv", "text/html,application/xhtml+xml"):
        assert call("GET", PATH, headers={"Accept": accept}).json()["total_datasets"] == 1


def test_csv_of_a_segment_names_the_cells_and_no_cell_is_a_formula(call) -> None:
    rows = list(csv.reader(io.StringIO(call("GET", PATH, params={"segment": "city", "format": "csv"}).text)))
    assert {row[4] for row in rows[1:]} == {"'=1+1", "Алматы"}
    assert {row[3] for row in rows[1:]} == {"city"}


@pytest.mark.parametrize(
    ("text", "written"),
    [(text, f"'{text}") for text in ("=HYPERLINK(0)", "+1", "-1", "@SUM(1)", "\t=1", "＝1", "＠A1")]
    + [("\r=1", "'\r'=1"), ("\n=1", "'\n'=1"), ("a;=1", "a;'=1")],
)
def test_text_that_a_spreadsheet_would_execute_is_marked_as_text(text: str, written: str) -> None:
    stored = json.loads(document(MONTHS[0])) | {"metrics": {"top_category": text}}
    stored["privacy"]["standard_deviation"] = {"sample_size": 1.0}
    rows = list(csv.reader(io.StringIO(spreadsheet([json.dumps(stored).encode()]).decode(), newline="")))
    assert rows[1][7] == written


def test_csv_without_data_has_its_header(call) -> None:
    answer = call("GET", PATH, params={"period": "2026-08", "format": "csv"})
    assert answer.text == ",".join(HEADER) + "\r\n"


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/aggregated-data/nobody", 400, "company"),
        (f"/aggregated-data/{COMPANY}/nothing", 400, "data_type"),
        (f"{PATH}?segment=client", 400, "segment"),
        (f"{PATH}?segment=all", 400, "segment"),
        (f"{PATH}?period=2026-13", 422, "period"),
        (f"{PATH}?period=20٢٦-10", 422, "period"),
        (f"{PATH}?periods=2026-01..20２６-10", 422, "periods"),
        (f"{PATH}?periods=2026-01", 422, "periods"),
        (f"{PATH}?periods=2026-10..2026-01", 422, "query"),
        (f"{PATH}?period=2026-10&periods=2026-01..2026-10", 422, "query"),
        (f"{PATH}?period=2026-10&client_id=1", 422, "client_id"),
        (f"{PATH}?format=xml", 422, "format"),
        (f"/aggregated-data/{COMPANY}?segment=city", 422, "segment"),
    ],
)
def test_p17_there_are_templates_and_no_free_filters(bank, path: str, status: int, field: str) -> None:
    answer = bank.caller("staff", "aigerim")("GET", path)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


@pytest.mark.parametrize("rest", ["", f"/{KIND}"])
def test_a_partner_that_misspells_its_company_is_told_so_and_one_that_asks_for_another_is_refused(bank, rest: str) -> None:
    call = bank.caller("partner", COMPANY)
    unknown = call("GET", f"/aggregated-data/nobody{rest}")
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (400, "company")
    assert {each["company"] for each in call("GET", "/companies").json()["companies"]} >= {COMPANY, "jolda-travel"}
    assert call("GET", f"/aggregated-data/jolda-travel{rest}").status_code == 403


@pytest.mark.parametrize("query", ["period=2026-10&period=2026-09", "segment=city&segment=age_group", "format=csv&format=json"])
def test_p17_a_parameter_that_comes_twice_is_no_question(call, query: str) -> None:
    answer = call("GET", f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "repeated_parameter")


def test_the_public_lists_name_data_types_and_the_cells_of_segments(bank) -> None:
    lists = bank.caller("partner", COMPANY)("GET", "/data-types").json()
    assert {each["data_type"] for each in lists["data_types"] if each["released"]} == {
        "category_spending",
        "average_bill",
        "spending_dynamics",
        "income_segments",
    }
    cells = {each["segment"]: each["cells"] for each in lists["segments"]}
    assert cells["age_group"][1:3] == ["18-24", "25-34"]
    assert cells["city"][-1] == "other"


def test_the_description_has_examples_of_both_formats(bank) -> None:
    description = bank.http.get("/openapi.json").json()
    content = description["paths"]["/aggregated-data/{company}/{data_type}"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["example"]["data"][0]["company"] == COMPANY
    assert content["text/csv"]["example"].startswith(",".join(HEADER))
