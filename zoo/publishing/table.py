"""Table of models in the project's README: ``python -m zoo.publishing.table`` writes it."""

from pathlib import Path

from zoo import artifact, catalog
from zoo.utils.atomic import atomic_write

START = "<!-- models: python -m zoo.publishing.table writes this table -->"
END = "<!-- end of models -->"
HEAD = """| model | parameters | trained for | metric | value | int8 | published |
|---|---|---|---|---|---|---|
"""


def table(cards) -> str:
    """Returns the table, a row for each metric of each card."""
    rows = []
    for card in cards:
        model = f"[{card.name}](saved_models/{card.name}) | {card.parameters['total']:,}"
        minutes = card.recipe["wall_clock_seconds"] / 60
        values = {
            metric["name"]: f"{metric['value']:.2f} ± {metric['stderr']:.2f}"
            for metric in card.metrics
        }
        for metric in filter(values.get, card.recipe["metrics"]):
            anchor = card.recipe["anchors"].get(metric)
            published = f"{anchor['value']}" if anchor else "–"
            int8 = values.get(f"{metric}@{artifact.INT8}", "–")
            rows.append(
                f"| {model} | {minutes:.0f} min | {metric} | {values[metric]} | {int8} | "
                f"{published} |\n"
            )
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
