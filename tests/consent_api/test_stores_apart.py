"""P24: what names clients and what partners get are apart, and nobody can link a client's pseudonyms."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from consent_api.custody.outside import Custody
from settings import PROJECT, Settings

CLIENTS = [str(number) for number in range(1000)]


def test_p24_pseudonyms_of_two_partners_have_nothing_in_common(tmp_path: Path) -> None:
    custody = Custody.of(Settings(var=tmp_path))
    first, second, own = ([custody.pseudonym(client, name) for client in CLIENTS] for name in ("dala-market", "aspan-cinema", ""))
    assert len({*first, *second, *own}) == 3000
    assert first == [custody.pseudonym(client, "dala-market") for client in CLIENTS]
    elsewhere = replace(custody, secret=b"another bank's secret, as long as it has to be")
    assert not set(first) & {elsewhere.pseudonym(client, "dala-market") for client in CLIENTS}


def test_p24_the_serving_process_cannot_open_the_lake() -> None:
    """It does not even have the code that reads tables of purchases loaded."""
    code = (
        "import sys, consent_api.app; print([name for name in sys.modules if name in ('features.lake', 'deltalake', 'duckdb')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "[]", ran.stderr
