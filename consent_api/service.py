"""What stands behind the routes of the running service."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from consent_api.callers.credentials import Keyring
from consent_api.callers.issuers import Issuers
from consent_api.catalogue import Catalogue
from consent_api.store import Store
from features.online import OnlineStore
from settings import Settings


@dataclass(frozen=True)
class Service:
    """The open databases, who is known, what may be consented to; `knows` says whether a client code is one of the bank's."""

    store: Store
    keyring: Keyring
    issuers: Issuers
    catalogue: Catalogue
    knows: Callable[[str], bool]
    now: Callable[[], datetime]
    online: OnlineStore
    config: Settings
