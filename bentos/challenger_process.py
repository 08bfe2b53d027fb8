"""The process of a challenger: `python -m bentos.challenger_process <model> <version> <sha256> <folder>`, see bentos.challenger.

It opens no database and no port and reads no setting. It ends when the service that started it closes the pipe or dies.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bentos.serving.lean import without_scikit_learn
from registry.reader import Registered

if TYPE_CHECKING:
    from registry.scorer import Scorer

_NICENESS = 10


def main(name: str, version: str, sha256: str, folder: str) -> None:
    """Load the version, say so, then answer line by line."""
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the service, and this ends with it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        scorer = _loaded(Registered(name, version, sha256), Path(folder))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the service says so in its log
        _say(answers, {"error": type(error).__name__, "message": str(error)})
        return
    _say(answers, {"columns": scorer.columns})
    for line in sys.stdin.buffer:
        _say(answers, _scored(scorer, orjson.loads(line)))


def _loaded(registered: Registered, folder: Path) -> Scorer:
    without_scikit_learn()
    from registry.loading import load_checked  # the booster libraries, after it is settled what they find

    return load_checked(registered, folder)[0]


def _scored(scorer: Scorer, rows: list[list[Any]]) -> dict[str, Any]:
    import pandas as pd

    try:
        table = scorer.table(pd.DataFrame(rows, columns=list(scorer.columns)))
    except Exception as error:  # noqa: BLE001 - news for the journal
        return {"error": type(error).__name__}
    return {"scores": table.to_dict("records")}


def _say(answers: Any, said: dict[str, Any]) -> None:
    answers.write(orjson.dumps(said) + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
