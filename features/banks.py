"""The partner banks: whose decisions the applications table has columns for, as catalogues/banks.toml names them."""

import re
import tomllib
from pathlib import Path

_CODE = re.compile(r"bank_[a-z0-9_]{1,40}", re.ASCII)


class UnreadableBanks(Exception):
    """catalogues/banks.toml is missing, no TOML, or names a bank as no column can be named; the message says what to mend."""


def bank_codes(folder: Path) -> tuple[str, ...]:
    """Codes of the banks in the `banks.toml` of `folder`, in its order; each is the name of a decision column.

    Raises:
        UnreadableBanks: there is no bank to be read from it.
    """
    path = folder / "banks.toml"
    try:
        banks = tomllib.loads(path.read_text(encoding="utf-8")).get("bank")
    except OSError as error:
        raise UnreadableBanks(f"{path} cannot be read ({error.strerror}): restore it or set OPORA_CATALOGUES") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnreadableBanks(f"{path} is not valid TOML: {error}") from error
    if not isinstance(banks, dict) or not banks:
        raise UnreadableBanks(f"{path} has no bank: give at least one as [bank.bank_a]")
    unfit = [code for code in banks if not _CODE.fullmatch(code)]
    if unfit:
        raise UnreadableBanks(
            f"{path}: call a bank bank_ and small letters or digits, as in [bank.bank_f], not {', '.join(unfit)}"
        )
    return tuple(banks)
