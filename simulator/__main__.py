"""Make a bank: `python -m simulator --clients 5000 --out var/raw`."""

import argparse
import sys
from datetime import date
from pathlib import Path

from simulator.bank import SimulatedBank, simulate
from simulator.config import BankInTheWay, InvalidSimulation, SimulationConfig


def main(arguments: list[str] | None = None) -> int:
    """Simulate as the command line asks; returns the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        config = SimulationConfig(clients=asked.clients, months=asked.months, seed=asked.seed, until=asked.until)
        bank = simulate(config, asked.out, _show)
    except (InvalidSimulation, BankInTheWay) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    print(_told(bank))
    return 0


def _parser() -> argparse.ArgumentParser:
    default = SimulationConfig()
    parser = argparse.ArgumentParser(prog="simulator", description="Simulate a bank with known truth into CSV files.")
    parser.add_argument("--clients", type=int, default=default.clients, help="number of clients (default %(default)s)")
    parser.add_argument("--months", type=int, default=default.months, help="months of history (default %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same bytes (default %(default)s)")
    parser.add_argument(
        "--until",
        type=date.fromisoformat,
        default=default.until,
        help="the history ends as this day begins (default %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=Path("var/raw"), help="folder of the bank (default %(default)s)")
    return parser


def _show(done: int, chunks: int) -> None:
    print(f"\rsimulated {done} of {chunks} chunks", end="\n" if done == chunks else "", file=sys.stderr, flush=True)


def _told(bank: SimulatedBank) -> str:
    lines = [f"{name:<18}{count:>12,} rows, {bank.dirty[name]:>7,} spoilt" for name, count in bank.rows.items()]
    made = "was there already" if bank.reused else f"made in {bank.seconds:.1f} s"
    return "\n".join([*lines, f"{bank.folder}: {made}, digest {bank.digest[:16]}"])


if __name__ == "__main__":
    raise SystemExit(main())
