"""How long the main job takes on a new machine after installation, and its peak memory: `python -m bench.pipeline`.

There is no rival to pair it with: the figure is held against the promised 180 s on two cores and 4 GiB.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENTS = 5000


def main() -> None:
    """Run `python -m flows.run_pipeline` on an empty `var`, then again on what it left, and print both."""
    with tempfile.TemporaryDirectory() as var:
        first, again = run(var), run(var)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print("| run | seconds | promised |\n| --- | ---: | ---: |")
    print(f"| pipeline, {CLIENTS:,} clients, nothing there yet | {first:.0f} | 180 |")
    print(f"| the same again, everything there | {again:.0f} | – |")
    print(f"\nLargest process: {peak:.2f} GiB (promised under 4 GiB).")


def run(var: str) -> float:
    """Seconds of one run over the folder `var`."""
    environment = {**os.environ, "OPORA_VAR": var, "PREFECT_HOME": str(Path(var) / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    started = time.monotonic()
    command = [sys.executable, "-m", "flows.run_pipeline", "--clients", str(CLIENTS)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
