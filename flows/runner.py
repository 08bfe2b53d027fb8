"""Runs what the Prefect server schedules: `python -m flows.runner`, which is the process `flows`."""

import sys
import threading

from clock import now
from flows.addresses import wait_for_prefect


def main() -> int:
    """Wait for the server, register the deployments, run two flows at a time until stopped; returns the exit status.

    Beside that it ends, in the records, the runs whose process is gone.
    """
    if not wait_for_prefect(seconds=300):
        print(
            "This bank's Prefect server does not answer: start it (make serve), or set PREFECT_API_URL to where it is.",
            file=sys.stderr,
        )
        return 1
    from prefect import serve  # Prefect reads the server's address when it is imported

    from flows.deployments import deployments
    from flows.missed import forget_missed
    from flows.silent import watch_silent

    forget_missed(now())
    threading.Thread(target=watch_silent, daemon=True).start()
    serve(*deployments(), pause_on_shutdown=False, limit=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
