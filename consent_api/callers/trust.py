"""Whose credentials were found in force, for as long as no credential has ended since."""

import threading
import time
from collections import OrderedDict
from datetime import datetime

from sqlalchemy import select

from consent_api.callers.roles import Principal
from consent_api.store import Store
from consent_api.tables import CREDENTIAL_ENDS

_SECONDS = 0.5
_MOST = 10_000


class Trust:
    """Principals by the hashes of their credentials.

    Every half second the database is asked how many credentials have ended: when it is another number than before, nobody is
    trusted any more. Of more than `_MOST` principals the one that was found first is forgotten.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._principals: OrderedDict[bytes, tuple[int, Principal]] = OrderedDict()
        self._ends = -1
        self._fresh_until = 0.0
        self._lock = threading.Lock()

    def known(self, name: bytes, at: datetime) -> Principal | None:
        """Who was found under this name, if that still holds; asks no database."""
        ends, principal = self._principals.get(name, (-1, None))
        if principal is None or ends != self._ends or time.monotonic() > self._fresh_until:
            return None
        return None if principal.good_until is not None and principal.good_until <= at else principal

    def ends(self) -> int:
        """How many credentials have ended, as of half a second ago at most.

        Raises:
            DBAPIError: the database is away.
        """
        with self._lock:
            if time.monotonic() > self._fresh_until:
                until = time.monotonic() + _SECONDS  # from before the look, so that what ends during it counts
                with self._store.reading() as connection:
                    self._ends = connection.execute(select(CREDENTIAL_ENDS.c.number)).scalar_one()
                self._fresh_until = until
            return self._ends

    def add(self, name: bytes, principal: Principal, ends: int) -> None:
        """Trust a principal that was found in force after `ends` had been asked for."""
        with self._lock:
            self._principals[name] = (ends, principal)
            self._principals.move_to_end(name)
            if len(self._principals) > _MOST:
                self._principals.popitem(last=False)
