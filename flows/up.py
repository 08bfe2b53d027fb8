"""What `make up` adds to the services: the main job once, the table of addresses, then silence until Ctrl-C."""

import signal
import sys
import threading

from flows import run_pipeline
from flows.addresses import ADDRESSES, table, wait_for, wait_for_prefect

STARTING = 300.0


def main() -> int:
    """Run the pipeline on the started services; returns the exit status."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if not wait_for_prefect(STARTING):
        print(f"This bank's Prefect server did not start within {STARTING:.0f} s: see its lines above.", flush=True)
        return 1
    status = run_pipeline.run([])
    if status:
        return status
    missing = wait_for(ADDRESSES, STARTING, _waiting)
    if missing:
        print(f"Not ready after {STARTING:.0f} s: {', '.join(missing)}; see their lines above.", flush=True)
        return 1
    print(f"\nOpora is up:\n\n{table()}\n\nCtrl-C stops everything.\n", flush=True)
    stopped.wait()
    return 0


def _waiting(names: list[str]) -> None:
    print(f"waiting for {', '.join(names)} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
