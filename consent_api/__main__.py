"""Serve the consent service, on port 8000 unless told otherwise: `python -m consent_api`."""

import argparse
import sys

import uvicorn

from consent_api.callers.issuers import Issuers
from edge.logs import install
from edge.patience import be_patient_within_limits
from edge.pepper import ConfigurationError, pepper
from settings import settings


def main() -> int:
    """Serve until told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m consent_api", description="The consent service.")
    parser.add_argument("--port", type=int, default=8000)
    port: int = parser.parse_args().port
    config = settings()
    try:
        pepper(config)
        Issuers.of(config)
    except ConfigurationError as error:  # the log would keep back what it says
        print(error, file=sys.stderr)
        return 1
    install("consent", config.log_level)
    be_patient_within_limits()
    uvicorn.run("consent_api.app:app", host=config.host, port=port, access_log=False, log_config=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
