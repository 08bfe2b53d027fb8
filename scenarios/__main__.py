"""`make scenario NAME=new-fraud`: live through a scenario in a folder, and an environment, of its own."""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from clock import CLOCK_FILE
from scenarios.catalogue import SCENARIOS
from settings import settings

COMMON = {
    "OPORA_LOG_LEVEL": "ERROR",
    "OPORA_CHAMPION_POLL_SECONDS": "1",
    "OPORA_SHADOW_SHARE": "1",
    "OPORA_SHADOW_QUEUE": "5000",
    "OPORA_LABEL_MATURITY_DAYS": '{"fraud": 120, "income": 120, "prescoring": 120, "recommendation": 120}',
    "OPORA_TRAINING_DAYS": '{"fraud": 120, "income": 180}',
    "OPORA_RETRAINING_COOLDOWN_HOURS": "336",
    "OPORA_RETRAINING_TRIALS": "6",
    "OPORA_RETRAINING_SECONDS": "120",
}
"""Settings of every scenario: labels take up to 120 days, so quality is judged and a model is retrained at that pace."""


def environment(var: Path, seed: int) -> Mapping[str, str]:
    """The environment variables of a scenario in the folder `var`: nothing of the bank outside is read or written."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("OPORA_")},
        **COMMON,
        "OPORA_VAR": str(var),
        "OPORA_SEED": str(seed),
        CLOCK_FILE: str(var / "clock"),
        "PREFECT_HOME": str(var / "prefect"),
        "BENTOML_HOME": str(var / "bentoml"),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }


def main(arguments: list[str]) -> int:
    """Clear the scenario's folder and go on in its environment; returns only when there is no such scenario."""
    parser = argparse.ArgumentParser(prog="make scenario", description=__doc__)
    parser.add_argument("--name", required=True, choices=sorted(SCENARIOS), metavar=f"{{{','.join(sorted(SCENARIOS))}}}")
    parser.add_argument("--days", type=int, help="fewer days than the scenario has, to see how it begins")
    parser.add_argument("--clients", type=int, help="another size of the bank; what is promised is promised of its own")
    parser.add_argument("--seed", type=int, default=settings().seed, help="another bank, and another training")
    asked = parser.parse_args(arguments)
    var = settings().var / "scenarios" / asked.name
    if var.exists():
        print(f"{var} holds an earlier run: it is cleared and the scenario begins anew", flush=True)
        shutil.rmtree(var)
    var.mkdir(parents=True)
    scenario = SCENARIOS[asked.name]
    size = [str(asked.days or scenario.days), str(asked.clients or scenario.clients)]
    command = [sys.executable, "-m", "scenarios.run", asked.name, *size]
    os.execve(sys.executable, command, dict(environment(var, asked.seed)))  # noqa: S606 - our own module
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
