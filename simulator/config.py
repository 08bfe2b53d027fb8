"""What a simulated bank depends on: its size, its months, its last day and its seed."""

from dataclasses import dataclass
from datetime import date


class InvalidSimulation(ValueError):
    """The settings describe no possible bank."""


class BankInTheWay(Exception):
    """The folder holds something that this simulation would have to overwrite."""


@dataclass(frozen=True)
class SimulationConfig:
    """Settings of a simulation; the same settings give the same bytes.

    The history covers `months` months and ends as the day `until` begins. Clients are made in chunks of `chunk_clients`,
    each from (seed, chunk number) alone: a larger bank begins with the full chunks of a smaller one, and memory holds one
    chunk however many there are.

    Raises:
        InvalidSimulation: a number is outside its range.
    """

    clients: int = 5_000
    months: int = 8
    seed: int = 20260101
    until: date = date(2026, 11, 1)
    chunk_clients: int = 5_000

    def __post_init__(self) -> None:
        ranges = {
            "clients": (1, 10**8),
            "months": (4, 60),
            "seed": (0, 2**63 - 1),
            "chunk_clients": (1, 50_000),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise InvalidSimulation(f"{name} is {getattr(self, name)}: choose a whole number from {low} to {high}")
        if not date(2006, 1, 1) <= self.until <= date(2099, 1, 1):
            raise InvalidSimulation(f"until is {self.until}: choose a day from 2006-01-01 to 2099-01-01")

    @property
    def start(self) -> date:
        """First day of the history."""
        month = self.until.year * 12 + self.until.month - 1 - self.months
        return date(month // 12, month % 12 + 1, min(self.until.day, 28))

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.clients // self.chunk_clients)

    def clients_of(self, chunk: int) -> int:
        """Number of clients in a chunk; only the last one may be smaller than the others."""
        return min(self.chunk_clients, self.clients - chunk * self.chunk_clients)

    def as_json(self) -> dict[str, int | str]:
        """The settings as they are written to bank.json and compared with it."""
        return {
            "clients": self.clients,
            "months": self.months,
            "seed": self.seed,
            "until": self.until.isoformat(),
            "chunk_clients": self.chunk_clients,
        }
