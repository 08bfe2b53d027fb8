"""Where the parts of a running Opora answer, and waiting for them."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from settings import settings

PREFECT = "http://127.0.0.1:4200"


@dataclass(frozen=True)
class Address:
    """A page or endpoint of the running bank, and the path that answers 200 when it is ready."""

    name: str
    url: str
    ready: str
    use: str


ADDRESSES = (
    Address("Prefect UI", PREFECT, "/api/health", "start flows, see runs and artifacts"),
    Address("MLflow UI", "http://127.0.0.1:5000", "/health", "model versions, metrics, pictures"),
    Address("Evidently UI", "http://127.0.0.1:8010", "/api/version", "drift reports"),
    Address("consent service", "http://127.0.0.1:8000", "/readyz", "consents and partner aggregates (/docs)"),
    Address("income", "http://127.0.0.1:3001", "/readyz", "POST /api/predictions (/docs)"),
    Address("prescoring", "http://127.0.0.1:3002", "/readyz", "POST /prescore (/docs)"),
    Address("recommendation", "http://127.0.0.1:3003", "/readyz", "GET /recommendations/{client_code} (/docs)"),
    Address("fraud", "http://127.0.0.1:3004", "/readyz", "POST /api/v1/score_transaction (/docs)"),
)


@cache
def _http() -> httpx.Client:
    """One for all questions: it reads the machine's certificates when it is made, which takes longer than the questions."""
    return httpx.Client()


def answers(address: Address) -> bool:
    """Whether the address is ready now."""
    try:
        return _http().get(address.url + address.ready, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def wait_for(addresses: tuple[Address, ...], seconds: float, waiting: Callable[[list[str]], None]) -> list[str]:
    """Wait until every address is ready; returns the names of those that are not after `seconds`.

    `waiting` is told the names that are still missing whenever that changes.
    """
    missing, told = list(addresses), -1
    deadline = time.monotonic() + seconds
    while missing and time.monotonic() < deadline:
        missing = [address for address in missing if not answers(address)]
        if missing and len(missing) != told:
            told = len(missing)
            waiting([address.name for address in missing])
        if missing:
            time.sleep(0.5)
    return [address.name for address in missing]


def use_running_server() -> bool:
    """Let the flows of this process report to the Prefect server of the running bank, if there is one; says where they do.

    Without one, Prefect starts a temporary server over the same database, so the runs are seen later all the same. So it does
    beside the server of another project, or of a bank with another OPORA_VAR, which the runs are none of the business of.
    """
    if "PREFECT_API_URL" in os.environ:
        return _say(f"the Prefect server that PREFECT_API_URL names, {os.environ['PREFECT_API_URL']}", running=True)
    if not answers(ADDRESSES[0]):
        return _say("a temporary Prefect server", running=False)
    ours, theirs = Path(os.environ.get("PREFECT_HOME") or settings().var / "prefect"), _home(f"{PREFECT}/api")
    if theirs is None or theirs.resolve() != ours.resolve():
        whose = f"keeps its runs in {theirs}" if theirs else "does not say where it keeps its runs"
        return _say(f"a temporary Prefect server: the one at {PREFECT} {whose}, this bank in {ours}", running=False)
    os.environ["PREFECT_API_URL"] = f"{PREFECT}/api"
    return _say(f"this bank's Prefect server, {PREFECT}", running=True)


def _home(api: str) -> Path | None:
    """The folder of the Prefect server at `api`; None where it does not tell."""
    try:
        return Path(_http().get(f"{api}/admin/settings", timeout=5).raise_for_status().json()["home"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def _say(where: str, *, running: bool) -> bool:
    print(f"Runs are recorded by {where}.", file=sys.stderr, flush=True)
    return running


def wait_for_prefect(seconds: float) -> bool:
    """Wait for the server at PREFECT_API_URL, or else for the one of this machine, which is then used; tells whether it came."""
    configured = os.environ.get("PREFECT_API_URL")
    server = ADDRESSES[0] if configured is None else Address("Prefect", configured, "/health", "")
    came = not wait_for((server,), seconds, lambda _: None)
    return came and use_running_server()


def table() -> str:
    """The addresses as lines of text."""
    width = max(len(address.name) for address in ADDRESSES)
    return "\n".join(f"  {address.name:<{width}}  {address.url:<22}  {address.use}" for address in ADDRESSES)
