"""How pictures of a report look, and how they become SVG for the page and PNG for the registry."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1d2733", "#6b7683", "#d8dde3", "#fefefd"
"""Neutral colours; on the page they become variables that follow the reader's light or dark mode."""

BLUE, AMBER, GREEN, RED = "#3274a8", "#c9802b", "#4a9467", "#b8504b"
"""Told apart by people with colour blindness too, and readable on light and dark ground."""

_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_ENLARGED = 1.6
_DOTS = 130
"""Dots of a PNG to the inch."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
}


@dataclass(frozen=True)
class Picture:
    """A picture of a report: what it is called, what it shows, and one sentence that reads it."""

    name: str
    title: str
    reading: str
    png: bytes
    svg: str | None = None

    @property
    def file(self) -> str:
        """Its file name; what no file system likes is an underscore."""
        return re.sub(r"[^\w.=-]+", "_", self.name) + ".png"


def picture(name: str, title: str, reading: str, draw: Callable[[], Figure]) -> Picture:
    """Draw once in the house style, and keep it as PNG and as SVG that takes its neutral colours from the page."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = draw()
        png = _png(figure)
        figure.set_layout_engine("none")  # the places are found; the SVG keeps them
        return Picture(name, title, reading, png, _svg(figure))


@contextmanager
def house_style() -> Iterator[None]:
    """The style for pictures that another library draws, which has grid lines of its own and formulas in its labels."""
    with mpl.rc_context({**_STYLE, "axes.grid": False, "text.parse_math": True}):  # type: ignore[arg-type, dict-item]
        yield


def panels(count: int, height: float = 2.9, across: int = 3) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels side by side, at most `across` in a row, as wide as the page's column."""
    columns = min(count, across)
    rows = -(-count // columns)
    width = 7.4 if columns > 1 else 5.2
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for spare in axes[count:]:
        spare.remove()
    return figure, list(axes[:count])


def _png(figure: Figure) -> bytes:
    """Drawn by the canvas: `savefig` would lay everything out and draw it twice."""
    figure.set_dpi(_DOTS)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure) -> str:
    buffer = StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.patch.set_facecolor("none")
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    return inline(buffer.getvalue())


def inline(document: str) -> str:
    """An SVG document as an element of a page: no prologue, name spaces or needless ids, neutral colours as variables."""
    text = document[document.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(<svg\b[^>]*?) width="([\d.]+)pt"', rf'\1 style="max-width: calc(\2px * {_ENLARGED})"', text)
    text = re.sub(r'(<svg\b[^>]*?) height="[\d.]+pt"', r"\1", text)
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", text)
