"""The development issuer: `python -m consent_api.issuer token --client 100008` prints a token of this client.

For one machine without an identity provider; the service accepts its tokens only while it listens on loopback.
"""

import argparse
import sys
from datetime import timedelta

from clock import now
from consent_api.callers.issuers import OWN, development
from edge.pepper import ConfigurationError
from settings import settings


def main() -> int:
    """Print a token; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m consent_api.issuer", description="Tokens of clients, for development.")
    commands = parser.add_subparsers(dest="command", required=True)
    token = commands.add_parser("token", help="print a token that is good for one change, and for reading until it ends")
    token.add_argument("--client", required=True, help="client code")
    client: str = parser.parse_args().client
    config = settings()
    try:
        print(development(config).token(client, OWN, now(), timedelta(seconds=config.token_lifetime_seconds)))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
