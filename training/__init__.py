"""How a Scorer comes to be: task, split, search over three boosting families, thresholds, report."""
