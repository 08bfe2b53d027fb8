"""Who may call at all: four roles, and whom a request comes from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["client", "partner", "staff", "auditor"]

CLIENT = r"^[\w.-]{1,64}$"
"""Client codes as addresses and tokens carry them."""


@dataclass(frozen=True)
class Principal:
    """Whose credential a request carries: a client (by code), a partner (by company), staff or an auditor (by name).

    Attributes:
        key_id: names the credential in the audit log: the id of a key, or that of a client's token.
        role: what the caller may do.
        subject: whose data it may see, where the role is bound to one.
        good_until: when the credential ends by itself.
        token_id: the token that came instead of the key; it may change something once.
    """

    key_id: str
    role: Role
    subject: str
    good_until: datetime | None = None
    token_id: str | None = None

    @property
    def caller(self) -> str:
        """Whom rates and idempotency keys are counted for: all credentials of one subject together."""
        return f"{self.role}:{self.subject}"
