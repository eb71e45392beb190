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


def table() -> str:
    """Returns the table, a row for each generative model with the first of its metrics."""
    rows = []
    for name in catalog.all_names():
        card = catalog.info(name)
        if "sample" not in card.signatures:
            continue
        folder = f"saved_models/{name}"
        picture = f'<img src="{folder}/{artifact.SHEET}" width="90" alt="Samples of {card.name}">'
        metric = card.metrics[0]
        cells = (
            picture,
            f"[{card.name}]({folder})",
            card.family.rpartition(">")[2],
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
        partial.write_text(before + start + table() + end + after, encoding="utf-8")


if __name__ == "__main__":
    write(Path("README.md"))
