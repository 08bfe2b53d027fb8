"""Bringing a version into memory for a service: every check that stands between a registered version and its first answer."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import inspect, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from clock import now
from database import open_database
from registry.admission import declared_obstacles, predicted_obstacles
from registry.copies import Copies
from registry.golden import Golden, compare, read_golden
from registry.ledger_table import LEDGER
from registry.reader import Registered, RegistryReader, RegistryUnreachable
from registry.scorer import Scorer
from settings import Settings

_SINGLE_OUTPUT = {"income": "income", "recommendation": "accepted", "fraud": "fraud"}
"""What a service reads from the predictions of its model; prescoring takes whichever banks there are."""


class UnfitModel(Exception):
    """An intact version that its service could not serve; the message says what is missing."""


class UnsignedModel(Exception):
    """The registry names another manifest for a version than the ledger recorded: somebody changed it after its promotion."""


@dataclass(frozen=True)
class LoadedModel:
    """A model version in memory; `source` says where its files came from, `golden` rows are there where a service loaded it."""

    use_case: str
    version: str
    scorer: Scorer
    sha256: str
    loaded_at: datetime
    source: str
    golden: Golden | None = field(default=None, repr=False)

    @property
    def registered(self) -> Registered:
        """The version as the registry lists it."""
        return Registered(self.use_case, self.version, self.sha256)


def load_for_service(registered: Registered, copies: Copies, reader: RegistryReader | None, config: Settings) -> LoadedModel:
    """Fetch, check and warm a version; with no `reader` from the local copy alone, as the last good one.

    Raises:
        DamagedModel: a file is missing or altered, or the version was not registered by us.
        UnsignedModel: its hash is not the one recorded in the ledger.
        UnfitModel: its service needs what it does not have.
        OtherOutputs: it predicts something else here than where it was made.
        RegistryUnreachable: the registry or the ledger does not answer.
    """
    scorer, golden = load_checked(registered, fetched(registered, copies, reader, config))
    source = "cache" if reader is None else f"models:/{registered.name}/{registered.version}"
    assert registered.sha256 is not None  # take() insists on it
    return LoadedModel(registered.name, registered.version, scorer, registered.sha256, now(), source, golden)


def fetched(registered: Registered, copies: Copies, reader: RegistryReader | None, config: Settings) -> Path:
    """The folder with the files of a version that is what the ledger says; the files themselves are checked by `load_checked`.

    Raises:
        DamagedModel, UnsignedModel, RegistryUnreachable: see `load_for_service`.
    """
    if reader is not None:
        _check_ledger(registered, config)
    return copies.take(registered, None if reader is None else lambda into: reader.fetch(registered, into))


def load_checked(registered: Registered, folder: Path) -> tuple[Scorer, Golden]:
    """The scorer in `folder`, after its golden rows came out as recorded and as its service needs them."""
    scorer = Scorer.load(folder, registered.sha256)
    golden = read_golden(folder)
    wanted = [_SINGLE_OUTPUT[registered.name]] if registered.name in _SINGLE_OUTPUT else list(scorer.outputs)
    rows = golden.frame
    obstacles = declared_obstacles(registered.name, scorer, rows, pd.DataFrame(columns=wanted))
    if not obstacles:
        compare(scorer, golden)
        obstacles = predicted_obstacles(scorer, rows, scorer.predict(rows))
    if obstacles:
        raise UnfitModel(f"{registered.name} version {registered.version} cannot serve: {'; '.join(obstacles)}")
    return scorer, golden


def _check_ledger(registered: Registered, config: Settings) -> None:
    """Compare the registry's hash of a version with the newest in the ledger; one that was never judged has none there."""
    url = make_url(config.database("registry"))
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return
    query = (
        select(LEDGER.c.manifest_sha256)
        .where(LEDGER.c.model == registered.name, LEDGER.c.version == registered.version, LEDGER.c.manifest_sha256.is_not(None))
        .order_by(LEDGER.c.sequence.desc())
        .limit(1)
    )
    engine = open_database(config.database("registry"))
    try:
        with engine.connect().execution_options(read_only=True) as connection:
            recorded = connection.execute(query).scalar() if inspect(connection).has_table(LEDGER.name) else None
    except SQLAlchemyError as error:
        raise RegistryUnreachable(f"the ledger cannot be read ({type(error).__name__}): start its database") from error
    finally:
        engine.dispose()
    if recorded is not None and recorded != registered.sha256:
        raise UnsignedModel(
            f"{registered.name} version {registered.version} is not what was judged: the registry says manifest "
            f"{str(registered.sha256)[:12]}, the ledger {recorded[:12]}; restore it, or train again"
        )
