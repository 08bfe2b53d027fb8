"""A full disk is one sentence, whatever error it came out as: the libraries' own are none of the operating system."""

import errno
import sqlite3
from pathlib import Path

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

from flows.full_disk import NoRoom, full_disk_told


def test_it_is_told_whatever_came_of_it() -> None:
    consequence = RuntimeError("the run cannot be ended")
    consequence.__context__ = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(NoRoom, match="no room left on the disk of"), full_disk_told():
        raise consequence
    with pytest.raises(NoRoom, match="no room left"), full_disk_told():
        raise sqlite3.OperationalError("database or disk is full")
    with pytest.raises(PermissionError), full_disk_told():
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("file", ["model.txt", "model.ubj", "model.cbm"])
def test_it_is_told_where_a_library_could_not_write_its_model(file: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).random((500, 5))
    labels = (rows[:, 0] > 0.5).astype(float)
    if file.endswith("txt"):
        model = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, labels), 50)
    elif file.endswith("ubj"):
        model = xgboost.train({"verbosity": 0, "nthread": 1}, xgboost.DMatrix(rows, labels), 50)
    else:
        model = catboost.CatBoostClassifier(iterations=50, verbose=0, thread_count=1, allow_writing_files=False).fit(rows, labels)
    (tmp_path / file).symlink_to("/dev/full")
    with pytest.raises(NoRoom, match="make some and start again"), full_disk_told():
        model.save_model(str(tmp_path / file))
