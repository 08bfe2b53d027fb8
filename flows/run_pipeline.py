"""The main job once, from the command line: `python -m flows.run_pipeline`, which is `make pipeline`."""

import argparse
import sys
import time

from pydantic import ValidationError

from flows.addresses import use_running_server
from flows.command import Command


def main(arguments: list[str]) -> int:
    """Run the pipeline on the running Prefect server, if there is one, and print what it left; returns the exit status."""
    use_running_server()
    return run(arguments)


def run(arguments: list[str]) -> int:
    """Run the pipeline on the Prefect server that this process goes by, and print what it left; returns the exit status."""
    from flows.pipeline import PipelineRequest, pipeline  # Prefect reads the server's address when it is imported

    parser = argparse.ArgumentParser(prog="make pipeline", description=__doc__)
    for name, field in PipelineRequest.model_fields.items():
        parser.add_argument(f"--{name}", default=field.default, help=f"{field.description} Default {field.default}.")
    try:
        request = PipelineRequest(**vars(parser.parse_args(arguments)))
    except ValidationError as error:
        print(error, file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        summary = pipeline(request)
    except Exception as error:  # noqa: BLE001 - Prefect has logged the trace; the status and one line are for the caller
        print(f"The pipeline failed: {error}", file=sys.stderr)
        return 1
    print(f"\nPipeline done in {time.monotonic() - started:.0f} s.\n", flush=True)
    for row in summary:
        print(f"  {row['use case']:<15} champion {row['champion']:<4} {row['this run']}", flush=True)
    return 0


if __name__ == "__main__":
    command = Command()
    command.end(main(sys.argv[1:]))
