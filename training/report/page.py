"""The report as one HTML file: no script, nothing fetched, light and dark, and printable."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape as escape_html
from pathlib import Path

from training.report.drawing import Picture

_LONG = 40
_STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first `texts` columns are words, the others numbers. `marked` rows stand out."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    title: str = ""
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A chapter: what it is about in a sentence or two, then pictures and tables."""

    title: str
    introduction: str
    blocks: Sequence[Picture | Table] = ()

    @property
    def anchor(self) -> str:
        """Its name in links."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Document:
    """A report: title, one sentence on what it is, the key figures (label, figure, remark), and chapters."""

    title: str
    summary: str
    figures: Sequence[tuple[str, str, str]]
    sections: Sequence[Section] = field(default_factory=tuple)


def escape(text: str) -> str:
    """Text for the page; a number and its per cent sign stay on one line."""
    return escape_html(text).replace(" %", "\u202f%")


def render(document: Document) -> str:
    """The page as HTML; every text is escaped."""
    contents = "".join(f'<a href="#{escape(s.anchor)}">{escape(s.title)}</a>' for s in document.sections)
    figures = "".join(
        f'<div class="figure"><dt>{escape(label)}</dt><dd>{escape(value)}<small>{escape(remark)}</small></dd></div>'
        for label, value, remark in document.figures
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document.title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style></head>\n<body>\n"
        f"<header><h1>{escape(document.title)}</h1><p>{escape(document.summary)}</p></header>\n"
        f'<dl class="figures">{figures}</dl>\n<nav>{contents}</nav>\n<main>\n'
        + "\n".join(_section(section) for section in document.sections)
        + "\n</main>\n</body></html>\n"
    )


def _section(section: Section) -> str:
    blocks = "\n".join(_table(block) if isinstance(block, Table) else _picture(block) for block in section.blocks)
    return (
        f'<section id="{escape(section.anchor)}"><h2>{escape(section.title)}</h2>\n<p>{escape(section.introduction)}</p>\n'
        f"{blocks}\n</section>"
    )


def _picture(picture: Picture) -> str:
    drawn = picture.svg or f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{b64encode(picture.png).decode()}">'
    return (
        f"<figure><figcaption><b>{escape(picture.title)}</b> {escape(picture.reading)}</figcaption>\n"
        f'<div class="picture {"drawn" if picture.svg else "image"}">{drawn}</div></figure>'
    )


def _table(table: Table) -> str:
    head = "".join(f"<th{_side(place, table)}>{escape(name)}</th>" for place, name in enumerate(table.headings))
    body = "\n".join(
        f"<tr{' class=marked' if index in table.marked else ''}>"
        + "".join(f"<td{_side(place, table, cell)}>{escape(cell)}</td>" for place, cell in enumerate(row))
        + "</tr>"
        for index, row in enumerate(table.rows)
    )
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    return f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _side(place: int, table: Table, cell: str = "") -> str:
    if place >= table.texts:
        return ""
    return ' class="text long"' if len(cell) > _LONG else ' class="text"'
