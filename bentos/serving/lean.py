"""What a process that scores does without."""

import sys


def without_scikit_learn() -> None:
    """Let this process have no scikit-learn.

    LightGBM and XGBoost import it for wrappers that serving does not use, which costs 70 MiB and half a second a worker; both
    do without where it is not installed.
    """
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]  # how Python marks a module as not to be found
