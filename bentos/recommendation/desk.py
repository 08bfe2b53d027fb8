"""Everything about all clients at once: ingest, process, write push texts, export, count."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path

from bentos.catalogue import Products, load_catalogue
from bentos.push.texts import Push
from bentos.recommendation.answers import Ingested, ProcessAnswer, PushNotification, Seconds, Statistics
from bentos.recommendation.batch import process
from bentos.recommendation.lock import AlreadyProcessing, alone
from bentos.recommendation.pages import OnlinePages
from bentos.recommendation.push_batch import PushWriter
from bentos.recommendation.refresh import refresh
from bentos.recommendation.store import RecommendationStore, Run, RunGone, StoredPush
from bentos.serving.backend import Backend
from bentos.serving.clients import unknown_client
from bentos.serving.uploads import forget_uploads
from database import open_database
from edge.errors import RequestRefused
from features.current import NothingIngested
from features.lake import open_lake
from features.refusals import RefusedFile, UnwritableLake
from features.tables import TABLES
from monitoring.journal import JournalClosed, JournalFull, JournalNotWritten


class Desk:
    """The work of the recommendation service that concerns all clients, over an opened backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._config = backend.config
        self.products = load_catalogue(Products, self._config.catalogues)
        self._texts = load_catalogue(Push, self._config.catalogues)

    def ingest(self, table: str, path: Path) -> Ingested:
        """Bring an uploaded file into the lake; the file is removed, the lake has the rows.

        Raises:
            RequestRefused: 422, the file must not land; 503, the lake cannot take it at the moment.
        """
        try:
            summary = open_lake(self._config).ingest(TABLES[table], path)
        except RefusedFile as error:
            raise RequestRefused(422, "refused_file", str(error).replace(path.name, "the file"), "file") from error
        except UnwritableLake as error:
            message = "the lake cannot be written at the moment: nothing of the file landed; make room and send it again"
            raise RequestRefused(503, "lake_unwritable", message, headers={"Retry-After": "30"}) from error
        finally:
            path.unlink(missing_ok=True)
            forget_uploads(path.parent, self._config.upload_retention_days)  # what a crash has left behind
        return Ingested(**summary.record())

    def process(self) -> ProcessAnswer:
        """Compute the recommendations of all clients and put them in force.

        Raises:
            RequestRefused: 409, nothing is ingested, or another call is at it; 503, no champion or no journal.
        """
        model = self._backend.champion.model()
        with self._alone():
            started = time.perf_counter()
            try:
                as_of = refresh(open_lake(self._config), self._backend.online)
            except (NothingIngested, KeyError) as error:
                message = "the lake has no clients or no purchases: upload clients, transactions and transfers first"
                raise RequestRefused(409, "nothing_ingested", message) from error
            refreshed = time.perf_counter()
            try:
                counts = process(model, self.products, self._pages, self._store, self._backend.journal)
            except (JournalFull, JournalClosed, JournalNotWritten) as error:
                message = (
                    "the journal cannot keep the scores at the moment: the recommendations before stay; send the request again"
                )
                raise RequestRefused(503, "journal_unavailable", message, headers={"Retry-After": "5"}) from error
            done = time.perf_counter()
        return ProcessAnswer(
            as_of=f"{as_of:%Y-%m-%dT%H:%M:%SZ}",
            clients=counts.clients,
            clients_without_data=counts.without_data,
            scores=counts.scores,
            recommendations=counts.recommendations,
            model_version=model.version,
            seconds=Seconds(
                features=round(refreshed - started, 3), scoring=round(done - refreshed, 3), total=round(done - started, 3)
            ),
        )

    def write_pushes(self, codes: Sequence[str] | None) -> Iterator[list[PushNotification]]:
        """Write and store the push texts of these clients, or of all; gives them by client, in pages.

        Raises:
            RequestRefused: 404, the bank has no such client; 409, nothing is processed yet, or twice anew while this went on.
        """
        run = self._processed()
        wanted = None if codes is None else sorted(set(codes))
        if wanted is not None and self._pages.names(wanted).keys() != set(wanted):
            raise unknown_client("client_codes")
        try:
            return (_answers(page, run) for page in self._written(run, wanted))
        except RunGone as error:
            raise RequestRefused(409, "computed_anew", str(error), headers={"Retry-After": "1"}) from error

    def _written(self, run: Run, codes: Sequence[str] | None) -> Iterator[list[StoredPush]]:
        """The texts once they are stored, in pages, of which the first is read: a run that is gone shows before the answer."""
        if codes is not None:
            return iter([self._writer.write_some(run, codes)])
        self._writer.write_all(run)
        pages = self._store.pushes(run.id)
        return chain([next(pages, [])], pages)

    def stored_pushes(self) -> Iterator[list[StoredPush]]:
        """The stored push texts by client, in pages.

        Raises:
            RequestRefused: 409, there are none.
        """
        run = self._processed()
        if not self._store.has_pushes(run.id):
            raise RequestRefused(409, "no_push_notifications", "no push texts are written yet: POST /push-notifications first")
        return self._store.pushes(run.id)

    def statistics(self) -> Statistics:
        """What the lake holds and what is in force."""
        lake = open_lake(self._config)
        held = lake.versions()
        rows = {name: int(lake.read(name, held[name]).count().to_pandas()) if name in held else 0 for name in _COUNTED}
        run = self._store.current()
        found = self._store.statistics("" if run is None else run.id)
        return Statistics(
            **rows,
            recommendations_by_product=found["by_product"],
            mean_benefit=found["mean_benefit"],
            clients_with_recommendations=found["clients"],
            push_notifications=found["pushes"],
            processed_at=None if run is None else run.completed.isoformat(),
        )

    def _processed(self) -> Run:
        run = self._store.current()
        if run is None:
            raise RequestRefused(409, "not_processed", "no recommendations are computed yet: POST /process first")
        return run

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with alone(self._config):
                yield
        except AlreadyProcessing as error:
            raise RequestRefused(409, "already_processing", str(error), headers={"Retry-After": "10"}) from error

    @cached_property
    def _pages(self) -> OnlinePages:
        return OnlinePages(open_database(self._config.database("online")))

    @cached_property
    def _store(self) -> RecommendationStore:
        return RecommendationStore(open_database(self._config.database("online")))

    @cached_property
    def _writer(self) -> PushWriter:
        return PushWriter(self._texts, self._pages, self._store)


_COUNTED = ("clients", "transactions", "transfers")


def _answers(page: Sequence[StoredPush], run: Run) -> list[PushNotification]:
    return [PushNotification(**vars(push), model_version=run.model_version) for push in page]
