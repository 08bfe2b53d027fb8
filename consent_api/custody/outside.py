"""What the consent database cannot vouch for itself and is therefore kept outside it: secrets and three growing files."""

import hmac
from dataclasses import dataclass

from sqlalchemy import Connection

from consent_api.custody.append_only import AppendOnlyFile
from consent_api.custody.receipt_keys import ReceiptKeys
from edge.pepper import pepper
from settings import Settings


@dataclass(frozen=True)
class Custody:
    """The secret behind pseudonyms, the keys of receipts, where the audit chain ended, the withdrawals, the releases."""

    secret: bytes
    receipt_keys: ReceiptKeys
    anchors: AppendOnlyFile
    withdrawals: AppendOnlyFile
    released: AppendOnlyFile

    @classmethod
    def of(cls, config: Settings) -> "Custody":
        """The configured one.

        Raises:
            ConfigurationError: the pepper is too short.
        """
        withdrawals = config.withdrawal_log or config.var / "withdrawals" / "consent"
        return cls(
            secret=pepper(config),
            receipt_keys=ReceiptKeys.of(config),
            anchors=AppendOnlyFile(config.audit_anchors or config.var / "anchors" / "consent"),
            withdrawals=AppendOnlyFile(withdrawals),
            released=AppendOnlyFile(withdrawals.with_name(f"{withdrawals.name}.releases")),
        )

    def pseudonym(self, client_code: str, recipient: str = "") -> str:
        """What stands for a client where the code must not: 32 characters that tell nothing without the secret.

        Each `recipient` (a company; empty: the bank itself) has pseudonyms of its own, so that those of two cannot be linked.
        """
        message = f"pseudonym\0{recipient}\0{client_code}".encode("utf-8", "surrogatepass")
        return hmac.digest(self.secret, message, "sha256").hex()[:32]


def custody_of(connection: Connection) -> Custody:
    """What is kept outside the database that `connection` belongs to, which a `Store` has opened."""
    custody = connection.get_execution_options()["custody"]
    assert isinstance(custody, Custody)
    return custody
