"""How a Scorer comes to be: task, split, search over three boosting families, thresholds, report."""

import os

# OpenMP threads that wait for each other spin by default: beside other busy processes a fit then takes six times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
