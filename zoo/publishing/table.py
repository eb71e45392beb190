"""Tables of models in README and in the guide: ``python -m zoo.publishing.table`` writes them."""

from pathlib import Path

from zoo import artifact, catalog
from zoo.utils.atomic import atomic_write
from zoo.utils.numbers import with_stderr

START = "<!-- models: python -m zoo.publishing.table writes this table -->"
END = "<!-- end of models -->"
# Columns of the table that compares models, {title: names of metrics, the first of which is shown}.
COLUMNS = {
    "`frechet`": ("frechet",),
    "`precision`": ("precision",),
    "`recall`": ("recall",),
    "`label_accuracy`": ("label_accuracy",),
    "`latent_accuracy`": ("latent_accuracy",),
    "anomalies": ("anomaly_fashion_mnist", "anomaly_mnist"),
}


def headlines() -> str:
    """Returns the table of README: samples and the first metric of each named model."""
    rows = []
    for name, card in _generative(catalog.list_models()):
        folder = f"saved_models/{name}"
        picture = f'<img src="{folder}/{artifact.SHEET}" width="90" alt="Samples of {card.name}">'
        cells = (
            picture,
            f"[{card.name}]({folder})",
            card.family.rpartition(">")[2],
            f"{card.parameters['total']:,}",
            f"`{card.metrics[0]['name']}`",
            _value(card.metrics[0]),
        )
        rows.append(cells)
    return _table(("samples", "model", "family", "parameters", "metric", "value"), rows)


def comparison() -> str:
    """Returns the table of the guide: several metrics of each model and the size of its files."""
    rows = []
    for name, card in _generative(catalog.all_names()):
        values = {metric["name"]: _value(metric) for metric in card.metrics}
        cells = [
            next((values[metric] for metric in names if metric in values), "–")
            for names in COLUMNS.values()
        ]
        size = catalog.file(name, "litert").stat().st_size / 1e3
        rows.append((card.name, *cells, f"{size:,.0f}"))
    return _table(("model", *COLUMNS, "TF Lite file, kB"), rows)


PAGES = {"README.md": headlines, "docs/guides/choose.md": comparison}


def _generative(names):
    """Yields (name, card) of each generative model."""
    for name in names:
        card = catalog.info(name)
        if "sample" in card.signatures:
            yield name, card


def _value(metric) -> str:
    return with_stderr(metric["value"], metric["stderr"])


def _table(header, rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write(page: Path, table: str) -> None:
    """Writes a table between its marks in a page."""
    before, start, rest = page.read_text(encoding="utf-8").partition(f"{START}\n")
    _, end, after = rest.partition(END)
    with atomic_write(page) as partial:
        partial.write_text(before + start + table + end + after, encoding="utf-8")


if __name__ == "__main__":
    for page, table in PAGES.items():
        write(Path(page), table())
