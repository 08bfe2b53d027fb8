"""Signed receipts: what a client has agreed to or withdrawn, in full, provable to anyone who has the published key.

`python -m consent_api.receipts verify FILE` checks one, `keys` prints the public keys, `rotate` signs with a new key from now on.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from pydantic import ValidationError
from sqlalchemy import Connection

from consent_api import audit
from consent_api.custody.outside import custody_of
from consent_api.custody.receipt_keys import BrokenReceiptKeys, ForgedReceipt, ReceiptKeys, content_of
from consent_api.record.resources import ConsentBody, Part, RecordBody
from settings import settings


class AuditHead(Part):
    """The newest row of the audit log then: a log that ends before it, or has another hash there, was cut or rewritten."""

    sequence: int
    hash: str


class Receipt(Part):
    """What is signed. It names the client by pseudonym only."""

    receipt_id: str
    issued_at: datetime
    version: int
    is_active: bool
    data_types: list[str]
    records: list[RecordBody]
    audit: AuditHead


def issue(connection: Connection, consent: ConsentBody, at: datetime) -> str:
    """The receipt for a consent as it stands, in the transaction that changed it: a compact JWS (RFC 7515) with Ed25519."""
    head = audit.head(connection)
    receipt = Receipt(
        receipt_id=uuid4().hex,
        issued_at=at,
        version=consent.version,
        is_active=consent.is_active,
        data_types=consent.data_types,
        records=consent.records,
        audit=AuditHead(sequence=head.sequence, hash=head.hash),
    )
    return custody_of(connection).receipt_keys.sign(receipt.model_dump_json().encode())


def verify(receipt: str, published: dict[str, Any]) -> Receipt:
    """What a receipt says, once it is found to be whole and signed by one of the published keys.

    Raises:
        ForgedReceipt: it is not.
    """
    try:
        return Receipt.model_validate_json(content_of(receipt.strip(), published))
    except ValidationError as error:
        raise ForgedReceipt("what was signed is no receipt") from error


def main() -> int:
    """Verify a receipt, print the public keys or rotate them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m consent_api.receipts", description="Receipts of consents.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="print what a receipt says, if it is genuine")
    check.add_argument("file", type=Path, help="the receipt, or an answer of POST or DELETE /consent that holds one")
    check.add_argument("--keys", type=Path, help="what GET /.well-known/jwks.json has answered; by default our own keys")
    commands.add_parser("keys", help="print the public keys")
    commands.add_parser("rotate", help="sign with a new key; receipts signed before stay valid")
    arguments = parser.parse_args()
    try:
        print(_done(arguments, ReceiptKeys.of(settings())))
    except (OSError, ValueError, ForgedReceipt, BrokenReceiptKeys) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _done(arguments: argparse.Namespace, keys: ReceiptKeys) -> str:
    if arguments.command == "rotate":
        return keys.rotate()
    if arguments.command == "keys":
        return orjson.dumps(keys.published(), option=orjson.OPT_INDENT_2).decode()
    published = orjson.loads(arguments.keys.read_bytes()) if arguments.keys else keys.published()
    return verify(_receipt_in(arguments.file.read_text()), published).model_dump_json(indent=2)


def _receipt_in(text: str) -> str:
    return str(orjson.loads(text).get("receipt", "")) if text.lstrip().startswith("{") else text


if __name__ == "__main__":
    sys.exit(main())
