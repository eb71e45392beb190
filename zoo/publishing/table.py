"""Table of models in the project's README: ``python -m zoo.publishing.table`` writes it."""

from pathlib import Path

from zoo import artifact, catalog
from zoo.utils.atomic import atomic_write
from zoo.utils.numbers import with_stderr

START = "<!-- models: python -m zoo.publishing.table writes this table -->"
END = "<!-- end of models -->"
HEAD = """| samples | model | family | parameters | metric | value |
|---|---|---|---|---|---|
"""


def table(cards) -> str:
    """Returns the table, a row for each card with the first of its metrics."""
    rows = []
    for card in cards:
        folder = f"saved_models/{card.name}"
        picture = f'<img src="{folder}/{artifact.SHEET}" width="90" alt="Samples of {card.name}">'
        metric = card.metrics[0]
        cells = (
            picture,
            f"[{card.name}]({folder})",
            card.family,
            f"{card.parameters['total']:,}",
            f"`{metric['name']}`",
            with_stderr(metric["value"], metric["stderr"]),
        )
        rows.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


def write(page: Path) -> None:
    """Writes the table between its marks in a page."""
    before, start, rest = page.read_text(encoding="utf-8").partition(f"{START}\n")
    _, end, after = rest.partition(END)
    with atomic_write(page) as partial:
        partial.write_text(
            before + start + table(map(catalog.info, catalog.list_models())) + end + after,
            encoding="utf-8",
        )


if __name__ == "__main__":
    write(Path("README.md"))
