"""One line of a table of measurements, with the promise that it keeps or breaks."""

from dataclasses import dataclass

from bench.serving_load import Load


@dataclass(frozen=True)
class Line:
    """One measurement, and the promise it keeps or breaks: a figure, what it is compared with, and whether more is better."""

    what: str
    load: Load | None
    figure: float
    unit: str
    promised: float | None = None
    more_is_better: bool = True

    def __str__(self) -> str:
        p50, p99 = (f"{self.load.p50:.1f}", f"{self.load.p99:.1f}") if self.load else ("", "")
        return f"| {self.what} | {self.figure:,.5g} {self.unit} | {p50} | {p99} | {self._verdict()} |"

    def _verdict(self) -> str:
        failed = f" ({self.load.failed} requests failed)" if self.load and self.load.failed else ""
        if self.promised is None:
            return failed
        kept = self.figure >= self.promised if self.more_is_better else self.figure <= self.promised
        return f"{'≥' if self.more_is_better else '≤'} {self.promised:,.5g}: {'yes' if kept else 'NO'}{failed}"
