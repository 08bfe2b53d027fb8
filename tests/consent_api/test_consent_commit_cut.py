"""P33: when the connection to PostgreSQL breaks while a change commits, sending it again with its key does it exactly once."""

import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, make_url, select

from consent_api import audit
from consent_api.store import Store, open_store
from consent_api.tables import ANSWERS, AUDIT, EVENTS, RECORDS
from settings import Settings

CUTS = 200
COMMIT = b"COMMIT\x00"
BODY = {"client_id": "17", "company": "dala-market", "data_types": ["category_spending"], "is_active": True}


class Wire:
    """A TCP proxy to the server that can break the connection on which the next COMMIT is sent."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.cut: str | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while data := near.recv(65536):
                if self.cut is not None and COMMIT in data:
                    self._break(near, far, data)
                    return
                far.sendall(data)
        except OSError:
            pass
        _drop(near, far)

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        try:
            while data := far.recv(65536):
                near.sendall(data)
        except OSError:
            pass
        _drop(near, far)

    def _break(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        where, self.cut = self.cut, None
        self.cuts += 1
        if where == "before the server has it":
            _drop(near, far)
        elif where == "while the server works":
            far.sendall(data)
            _drop(near, far)
        else:
            _drop(near)
            far.sendall(data)
            far.settimeout(5)
            with suppress(OSError):
                far.recv(1, socket.MSG_PEEK)
            _drop(far)


def _drop(*ends: socket.socket) -> None:
    """Reset the connections, as a broken network or a killed proxy does."""
    for end in ends:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RDWR)
        end.close()


PLACES = ("before the server has it", "while the server works", "before the answer is there")


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    url = make_url(postgres_url)
    wire = Wire((url.host or "127.0.0.1", url.port or 5432))
    yield wire
    wire.close()


@pytest.fixture
def store(postgres_url: str, wire: Wire, tmp_path: Path) -> Iterator[Store]:
    """A store whose every byte to and from PostgreSQL goes through the wire, in the clear."""
    url = make_url(postgres_url).set(host="127.0.0.1", port=wire.port)
    url = url.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    opened = open_store(Settings(var=tmp_path, database_url=url.render_as_string(hide_password=False)))
    yield opened
    opened.close()


def counted(bank, table, *chosen) -> int:
    with bank.store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table).where(*chosen))


def test_p33_after_a_cut_at_commit_a_retry_with_the_same_key_makes_one_row(bank, wire: Wire) -> None:
    call, chance, arrived = bank.caller("client", "17"), random.Random(33), Counter()
    for number in range(CUTS):
        method, path, body = ("POST", "/consent", BODY) if number % 2 == 0 else ("DELETE", "/consent/17_dala-market", None)
        key, place = {"Idempotency-Key": f"k{number}"}, chance.choice(PLACES)
        wire.cut = place
        lost = call(method, path, json=body, headers=key)
        if lost.status_code == 200:  # the cut met the COMMIT of a look at credentials, which is simply looked up again
            arrived["a read"] += 1
        else:
            assert (lost.status_code, lost.json()["error"]["code"]) == (503, "store_unavailable")
            arrived[place, counted(bank, ANSWERS, ANSWERS.c.idempotency_key == f"k{number}")] += 1
        again = call(method, path, json=body, headers=key)
        assert again.status_code == 200, again.text
        assert call(method, path, json=body, headers=key).content == again.content
        assert (counted(bank, RECORDS), counted(bank, EVENTS)) == (number // 2 + 1, number + 1)
    assert wire.cuts == CUTS
    assert arrived["a read"] <= CUTS / 2
    assert arrived["before the server has it", 0] > 0
    assert arrived["before the answer is there", 1] > 0
    assert counted(bank, ANSWERS) == CUTS
    assert counted(bank, AUDIT, AUDIT.c.action == "consent.granted") == CUTS // 2
    assert counted(bank, AUDIT, AUDIT.c.action == "consent.revoked") == CUTS // 2
    with bank.store.reading() as connection:
        assert audit.verify(connection).first_bad is None
