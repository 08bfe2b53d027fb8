"""Which variables of the environment are settings, and which others may have their prefix."""

import difflib
import re
from collections.abc import Iterable, Mapping

PREFIX = "OPORA_"

_READ_ELSEWHERE = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "CLOCK_FILE",  # clock.py
        "REAL_DATA",  # bench and tests, as all that follow: where data lie, and how often a promise is tried
        "TEST_POSTGRES_URL",
        "TEST_WINDOWS",
        "CALLS",
        "CONSENT_WALKS",
        "HISTORIES",
        "KILLS",
        "PARITY_CLIENTS",
        "QUIET_REPORTS",
        "RACES",
        "RELEASE_KILLS",
        "SCHEMA_CASES",
    )
)

_PORT = r"_PORT_\d+_(?:TCP|UDP|SCTP)"
_ADDRESS = r"[0-9a-fA-F.:]+"
_URL = r"(?:tcp|udp|sctp)://\S+:\d+"
_SERVICE_LINKS = {
    r"_SERVICE_HOST": _ADDRESS,
    r"_SERVICE_PORT(?:_\w+)?": r"\d+",
    rf"_PORT|{_PORT}": _URL,
    rf"{_PORT}_PROTO": r"tcp|udp|sctp",
    rf"{_PORT}_PORT": r"\d+",
    rf"{_PORT}_ADDR": _ADDRESS,
}
"""What Kubernetes tells every container about a service: how such variables end, and what they hold."""


class UnknownSetting(Exception):
    """The environment names a setting that does not exist; it was meant to have an effect, and would have none."""


def refuse_unknown(environment: Mapping[str, str], fields: Iterable[str]) -> None:
    """Refuse a variable that would silently be without effect.

    Raises:
        UnknownSetting: a variable with the prefix is none of the `fields`, and nobody else's either.
    """
    known = {*_READ_ELSEWHERE, *(PREFIX + field.upper() for field in fields)}
    ours = sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)
    unknown = [name for name in ours if not _tells_of_a_service(name, environment)]
    if unknown:
        nearest = ((name, *difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)) for name in unknown)
        told = "; ".join(f"{name} is no setting, the nearest is {other}" for name, other in nearest)
        raise UnknownSetting(f"{told}: correct or unset it (the folder settings/ has them all)")


def _tells_of_a_service(name: str, environment: Mapping[str, str]) -> bool:
    """Whether Kubernetes wrote the variable, of a service named opora or opora-…; what a person wrote in its place is not so."""
    return any(
        re.fullmatch(value, environment[name])
        and {f"{found[1]}_SERVICE_HOST", f"{found[1]}_SERVICE_PORT", f"{found[1]}_PORT"} <= environment.keys()
        for ending, value in _SERVICE_LINKS.items()
        if (found := re.fullmatch(rf"(\w+?)(?:{ending})", name))
    )
