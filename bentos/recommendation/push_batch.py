"""Push texts of all clients, or of some, from their stored recommendations: in both cases the same texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from bentos.push.texts import Push
from bentos.push.writing import Observation, push_text
from bentos.recommendation.pages import OnlinePages
from bentos.recommendation.store import RecommendationStore, Run, Stored, StoredPush


@dataclass
class Pushed:
    """How many texts were made, and for how many clients there is none.

    Attributes:
        pushes: texts stored.
        too_little: no recommendation is worth the catalogue's least benefit.
        unfit: no variant of the text kept every rule.
    """

    pushes: int = 0
    too_little: int = 0
    unfit: int = 0


class PushWriter:
    """Writes the push texts of a run.

    Args:
        texts: the catalogue.
        online: knows the names.
        store: has the recommendations and takes the texts.
    """

    def __init__(self, texts: Push, online: OnlinePages, store: RecommendationStore) -> None:
        self._texts = texts
        self._online = online
        self._store = store

    def write_all(self, run: Run, progress: Callable[[int], None] = lambda _done: None) -> Pushed:
        """The text of every client with recommendations, page by page, stored."""
        counts, done = Pushed(), 0
        for page in self._pages(run):
            self._store.add_pushes(run.id, list(self._texts_of(page, counts)))
            done += len({row.client_code for row in page})
            progress(done)
        return counts

    def write_some(self, run: Run, codes: Sequence[str]) -> list[StoredPush]:
        """The texts of these clients, stored; those of them without a text are left out."""
        made = list(self._texts_of(self._store.of_clients(run.id, codes), Pushed()))
        self._store.add_pushes(run.id, made)
        return made

    def _pages(self, run: Run) -> Iterator[list[Stored]]:
        after = ""
        while page := self._store.recommendations(run.id, after):
            yield page
            after = page[-1].client_code

    def _texts_of(self, rows: Sequence[Stored], counts: Pushed) -> Iterator[StoredPush]:
        names = self._online.names(sorted({row.client_code for row in rows}))
        for code, recommended in groupby(rows, attrgetter("client_code")):
            best = self._best(recommended)
            if best is None:
                counts.too_little += 1
                continue
            seen = Observation.from_json(best.observed)
            text = push_text(self._texts, code, names.get(code), best.product, best.expected_benefit, seen)
            if text is None:
                counts.unfit += 1
                continue
            counts.pushes += 1
            yield StoredPush(code, best.product, text, best.score_id)

    def _best(self, recommended: Iterable[Stored]) -> Stored | None:
        """The highest-ranked recommendation for which it is worth disturbing a client."""
        return next((row for row in recommended if row.expected_benefit >= self._texts.least_benefit), None)
