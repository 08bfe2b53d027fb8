"""Before anything starts it is said which services could not listen, and why."""

import re
import socket
from pathlib import Path

import pytest

from flows import ports
from flows.addresses import Address
from flows.ports import taken

ROOT = Path(__file__).parents[2]


def at(listening: socket.socket) -> Address:
    return Address("fraud", f"http://127.0.0.1:{listening.getsockname()[1]}", "/readyz", "")


@pytest.mark.parametrize("interface", ["127.0.0.1", "0.0.0.0"])
def test_a_port_at_which_something_listens_is_taken_and_free_once_it_has_ended(interface: str) -> None:
    with socket.create_server((interface, 0)) as listening:
        address = at(listening)
        assert taken([address]) == [address]
        with socket.create_connection(("127.0.0.1", listening.getsockname()[1])) as caller:
            listening.accept()[0].close()  # the side that closes first keeps the port waiting for a minute
            assert caller.recv(1) == b""
    assert taken([address]) == []


def test_each_service_that_cannot_start_is_named_with_its_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(ports, "ADDRESSES", (at(listening),))
        assert ports.main() == 1
        said = capsys.readouterr().err
        assert said.startswith(f"fraud cannot start: something listens at {at(listening).url} already\nStop that first.")
    assert ports.main() == 0
    assert capsys.readouterr().err == ""


def test_make_up_and_make_serve_ask_before_they_start_anything() -> None:
    needed = dict(re.findall(r"^(up|serve|free-ports): ([^|#\n]*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert needed["up"].split() == needed["serve"].split() == ["free-ports"]
    assert needed["free-ports"].split() == ["$(VENV)/.runtime"]
