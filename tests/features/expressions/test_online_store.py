"""The online store serves exactly the rows that a batch computes, and never half of a new set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from database import open_database
from features.online import NotOneRowPerClient, OnlineStore
from features.online_rows import newest_rows
from features.packed import PACKED

AS_OF = datetime.fromisoformat("2026-06-01")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty online database of this test's own."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> OnlineStore:
    return OnlineStore(engine)


def rows(*codes: str, **values: object) -> pd.DataFrame:
    return pd.DataFrame({"client_code": list(codes), "as_of": pd.Timestamp(AS_OF)} | values)


def plain(value: object) -> object:
    if isinstance(value, np.ndarray | list):
        return list(value)
    return None if pd.isna(value) else value


def test_the_row_served_is_the_row_computed(store: OnlineStore, bank, tables_of) -> None:
    many = [{**row, "client_code": f"{row['client_code']}-{copy}"} for copy in range(20) for row in bank["clients"]]
    copies = {
        name: [{**row, "client_code": f"{row['client_code']}-{copy}"} for copy in range(20) for row in bank[name][copy::3]]
        for name in ("transactions", "transfers", "sessions", "product_uptake")
    }
    tables = tables_of({**bank, **copies, "clients": many})
    for name, expression in newest_rows(tables, AS_OF).items():
        batch = expression.to_pandas()
        store.write(name, batch)
        assert len(batch) >= 200
        for computed in batch.to_dict("records"):
            served = store.get(name, computed["client_code"])
            assert served is not None
            assert served.as_of == AS_OF.replace(tzinfo=UTC)
            expected = {key: plain(value) for key, value in computed.items() if key not in ("client_code", "as_of")}
            if name in PACKED:
                expected = {key: value if value is None else float(value) for key, value in expected.items()}
            assert repr(served.values) == repr(expected)


def test_writing_replaces_the_whole_set_and_no_other(store: OnlineStore) -> None:
    store.write("income", rows("a", "b", value=[1, 2]))
    store.write("fraud", rows("a", value=[3]))
    store.write("income", rows("b", "c", value=[4, 5]))
    assert store.get("income", "a") is None
    assert [store.get("income", code).values for code in ("b", "c")] == [{"value": 4}, {"value": 5}]
    assert store.get("fraud", "a").values == {"value": 3}
    assert store.count() == 3


def test_a_client_is_known_by_any_set(store: OnlineStore) -> None:
    store.write("profile", rows("a", name=["Аня"]))
    assert store.knows("a")
    assert not store.knows("b")
    assert store.get("income", "a") is None


@pytest.mark.parametrize("codes", [["a", "a"], ["a", None]])
def test_ambiguous_rows_leave_what_was_there(codes: list[str | None], store: OnlineStore) -> None:
    store.write("income", rows("a", value=[1]))
    with pytest.raises(NotOneRowPerClient, match="clients table"):
        store.write("income", rows(*codes, value=[2, 3]))
    assert store.get("income", "a").values == {"value": 1}


def test_a_write_that_fails_half_way_leaves_what_was_there(store: OnlineStore) -> None:
    store.write("income", rows("a", value=[1]))
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.write("income", rows(*map(str, range(6000)), value=[1] * 5999 + [object()]))
    assert store.get("income", "a").values == {"value": 1}
    assert store.count() == 1


def test_missing_values_and_lists_survive(store: OnlineStore) -> None:
    store.write("profile", rows("a", amount=[np.nan], city=[None], holdings=[np.array(["x", "y"], dtype=object)]))
    assert store.get("profile", "a").values == {"amount": None, "city": None, "holdings": ["x", "y"]}


def test_an_empty_set_can_be_written(store: OnlineStore) -> None:
    store.write("income", rows(value=[]))
    assert store.count() == 0


def test_clients_without_any_event_have_a_profile_but_no_features(bank, tables_of) -> None:
    found = {name: set(expression.to_pandas().client_code) for name, expression in newest_rows(tables_of(bank), AS_OF).items()}
    assert "c11" in found["profile"]
    assert all("c11" not in found[name] for name in ("income", "recommendation", "fraud"))


def test_tables_that_were_never_ingested_count_as_empty(bank, tables_of) -> None:
    tables = {name: table for name, table in tables_of(bank).items() if name in ("clients", "transactions")}
    found = {name: len(expression.to_pandas()) for name, expression in newest_rows(tables, AS_OF).items()}
    assert found == {"income": 11, "recommendation": 11, "fraud": 0, "profile": 12}
    with pytest.raises(KeyError, match="clients"):
        newest_rows({}, AS_OF)


def test_what_happens_at_the_moment_itself_is_not_served_yet(tables_of) -> None:
    events = {
        "clients": [{"client_code": "c", "status": "Студент", "age": 20}],
        "transfers": [
            {"client_code": "c", "date": AS_OF, "type": "salary_in", "direction": "in", "amount": 5, "currency": "KZT"}
        ],
        "sessions": [{"client_code": "c", "started_at": AS_OF}],
        "product_uptake": [{"client_code": "c", "product": "Ипотека", "offered_at": AS_OF, "accepted": 1}],
    }
    later = AS_OF + timedelta(microseconds=1)
    now, then = ({name: rows.to_pandas() for name, rows in newest_rows(tables_of(events), at).items()} for at in (AS_OF, later))
    assert {name: len(rows) for name, rows in now.items()} == {"income": 0, "recommendation": 0, "fraud": 0, "profile": 1}
    assert {name: len(rows) for name, rows in then.items()} == {"income": 1, "recommendation": 1, "fraud": 1, "profile": 1}
    assert plain(now["profile"].holdings[0]) is None
    assert plain(then["profile"].holdings[0]) == ["Ипотека"]
