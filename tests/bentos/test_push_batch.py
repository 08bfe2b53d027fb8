"""For whom a push text is written, and what is counted of the others."""

from pathlib import Path

import pandas as pd

from bentos.catalogue import load_catalogue
from bentos.push.texts import Push
from bentos.push.writing import Observation
from bentos.recommendation.pages import OnlinePages
from bentos.recommendation.push_batch import Pushed, PushWriter
from bentos.recommendation.store import RecommendationStore, Stored
from database import open_database
from features.online import OnlineStore
from settings import PROJECT

SEEN = Observation(amount=120_000).json()
UNSEEN = Observation().json()


def test_a_client_is_disturbed_for_the_best_product_that_is_worth_it_and_the_others_are_counted(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'online.db'}")
    codes = ["enough", "second", "too little", "unfit"]
    OnlineStore(engine).write("profile", pd.DataFrame({"client_code": codes, "as_of": pd.Timestamp(2026, 1, 1), "name": "Анна"}))
    store = RecommendationStore(engine)
    run = store.begin("1")
    store.add(
        run,
        [
            Stored("enough", 1, "Мультивалютный счет", 1_000.0, 0.5, SEEN, "a"),
            Stored("second", 1, "Карта для геймеров", 999.0, 0.5, SEEN, "b"),
            Stored("second", 2, "Мультивалютный счет", 5_000.0, 0.1, SEEN, "c"),
            Stored("too little", 1, "Мультивалютный счет", 999.0, 0.5, SEEN, "d"),
            Stored("unfit", 1, "Мультивалютный счет", 5_000.0, 0.5, UNSEEN, "e"),
        ],
    )
    store.complete(run)
    current = store.current()
    assert current is not None
    writer = PushWriter(load_catalogue(Push, PROJECT / "catalogues"), OnlinePages(engine), store)
    told: list[int] = []
    assert writer.write_all(current, told.append) == Pushed(pushes=2, too_little=1, unfit=1)
    written = {push.client_code: push for page in store.pushes(run) for push in page}
    assert {code: push.score_id for code, push in written.items()} == {"enough": "a", "second": "c"}
    assert all(push.push_notification.startswith("Анна, ") for push in written.values())
    assert told == [4]
