"""Whether the ports of the services are free, asked before any of them starts: `python -m flows.ports`."""

import socket
import sys
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from flows.addresses import ADDRESSES, Address


def taken(addresses: Iterable[Address]) -> list[Address]:
    """Those of the addresses at which something listens already."""
    return [address for address in addresses if not _free(urlsplit(address.url))]


def _free(url: SplitResult) -> bool:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have just ended are no hindrance
        try:
            listening.bind((url.hostname, url.port))
        except OSError:
            return False
    return True


def main() -> int:
    """Name the services that could not listen, one line each; returns the exit status."""
    found = taken(ADDRESSES)
    for address in found:
        print(f"{address.name} cannot start: something listens at {address.url} already", file=sys.stderr)
    if found:
        print("Stop that first. If it is this bank, it is running; Ctrl-C in its terminal stops it.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
