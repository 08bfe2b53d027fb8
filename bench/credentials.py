"""How many credentials a second the consent service checks: `python -m bench.credentials` (half a minute).

One event loop, SQLite, the keys of 1,000 callers in turn: within half a second of the last look, as a busy service has them,
and each looked up anew; and tokens, whose signature is verified each time they are looked up anew.
"""

import asyncio
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from starlette.datastructures import Headers

from bench.lines import Line
from clock import now
from consent_api.app import open_service
from consent_api.callers.identification import Authenticator
from consent_api.callers.issuers import OWN, development
from consent_api.service import Service
from settings import Settings

CALLERS = 1000
SECONDS = 5.0


def main() -> int:
    """Print one table."""
    with tempfile.TemporaryDirectory() as folder:
        config = Settings(var=Path(folder), database_url="")
        service = open_service(config)
        keys = [Headers({"x-api-key": service.keyring.issue("partner", f"partner-{n}", now())}) for n in range(CALLERS)]
        signer = development(config)
        tokens = [signer.token(str(n), OWN, now(), timedelta(minutes=5)) for n in range(CALLERS)]
        bearers = [Headers({"authorization": f"Bearer {token}"}) for token in tokens]
        print("| checks of credentials | figure | p50, ms | p99, ms | promised |\n| --- | ---: | ---: | ---: | --- |")
        print(Line("keys, as they come", None, asyncio.run(_rate(service, keys, afresh=False)), "checks/s", 10_000))
        print(Line("keys, each looked up anew", None, asyncio.run(_rate(service, keys, afresh=True)), "checks/s"))
        print(Line("tokens, each verified anew", None, asyncio.run(_rate(service, bearers, afresh=True)), "checks/s"))
        service.store.close()
    return 0


async def _rate(service: Service, callers: list[Headers], afresh: bool) -> float:
    """Checks a second; `afresh`: by a service that has seen none of the callers before."""
    authenticator, checks, began = Authenticator(service), 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for headers in callers:
            await authenticator.identify("/companies", headers)
        checks += len(callers)
        if afresh:
            authenticator = Authenticator(service)
    return checks / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
