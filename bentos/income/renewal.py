"""Keeping the list of clients up to date: a new round soon after a new champion or new features."""

import logging
import threading

from bentos.income.clients import IncomeClients

_LOOK_SECONDS = 10.0

logger = logging.getLogger("opora.income")


class Renewal:
    """A thread that looks for a new champion or new features and has all clients predicted again.

    Of several workers and machines one computes the round and all list from it.
    """

    def __init__(self, clients: IncomeClients) -> None:
        self._clients = clients
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="income-rounds", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a round that is under way is left unfinished and begun again by whoever comes next."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                self._clients.renew()
            except Exception as error:  # noqa: BLE001 - the list stays as it was, the service goes on
                logger.error(
                    "income: the clients could not be predicted anew (%s); the list stays as it was", type(error).__name__
                )
