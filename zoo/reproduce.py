"""Measures shipped models again and compares the values with their cards."""

import time
from dataclasses import dataclass
from pathlib import Path

from zoo import catalog, evaluation, loading
from zoo.utils.atomic import atomic_write
from zoo.utils.numbers import with_stderr

# Standard errors by which a value may differ from that of the card.
ALLOWED = 3
# A value whose standard error is 0 repeats to rounding.
ROUNDING = 1e-6

COLUMNS = """| model | metric | value | compared with | time, s |
|---|---|---|---|---|
"""
HEAD = f"""# Results

`zoo reproduce` wrote this table: each metric of each model's card, computed again from the shipped
weights. The value is followed by its standard error. "Compared with" is a value of the same
quantity and its source: a published value, or the value of real images. The last column is the time
that the metric took, in seconds. Each model's page in [saved_models](saved_models) has the protocol
of each metric.

{COLUMNS}"""


@dataclass(frozen=True)
class Result:
    """Metric of a card that was measured again.

    Attributes:
        model: Name of the model.
        metric: Entry of the card.
        stated: Value and standard error on the card, {"value", "stderr"}.
        measured: The new value and standard error, {"value", "stderr"}.
        seconds: Time that it took.
    """

    model: str
    metric: dict
    stated: dict
    measured: dict
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether the values differ by at most ``ALLOWED`` standard errors."""
        allowed = max(ALLOWED * self.stated["stderr"], ROUNDING * max(1, abs(self.stated["value"])))
        return abs(self.measured["value"] - self.stated["value"]) <= allowed

    def sentence(self) -> str:
        """Returns a sentence that compares both values."""
        ours = with_stderr(self.measured["value"], self.measured["stderr"])
        theirs = with_stderr(self.stated["value"], self.stated["stderr"])
        verdict = "agrees with" if self.agrees else "DIFFERS FROM"
        return f"{self.model}: {self.metric['name']} {ours} {verdict} the card's {theirs}"


def reproduce(name: str, quick: bool = False, data_dir: str | None = None, progress=None):
    """Measures a model again by each metric of its card.

    Args:
        name: Name or path of an artifact.
        quick: Whether to measure only metrics that are means over images, on the first tenth of the
            images, and to compare them with the card's values for that tenth.
        data_dir: Folder in which tensorflow-datasets keeps its data.
        progress: As in ``zoo.evaluation.evaluate``.

    Yields:
        The ``Result`` of each metric.

    Raises:
        ValueError: If there is no such model, or it has no recipe.
    """
    stored = loading.find(name)
    splits = evaluation.Splits.of_recipe(stored.recipe, data_dir)
    models = {}
    for metric in stored.card.metrics:
        key, _, runtime = metric["name"].partition("@")
        runtime = runtime or "keras"
        stated = metric.get("quick") if quick else metric
        if stated is None:
            continue
        if runtime not in models:
            models[runtime] = stored.load(runtime)
        started = time.perf_counter()
        (measured,) = evaluation.evaluate(
            models[runtime],
            name,
            {key: stored.recipe.metrics[key]},
            splits,
            runtime=runtime,
            images=stated["n"] if quick else None,
            progress=progress,
        )
        yield Result(name, metric, stated, measured, time.perf_counter() - started)


def read_rows(path: Path) -> dict:
    """Reads the rows of an earlier table, {name of the model: lines}.

    Raises:
        ValueError: If there is another file.
    """
    if not path.exists():
        return {}
    _, columns, lines = path.read_text(encoding="utf-8").partition(COLUMNS)
    if not columns:
        raise ValueError(
            f"-o must be a new file or a table that `zoo reproduce` wrote; received: {path}."
        )
    rows = {}
    for line in lines.splitlines(keepends=True):
        rows.setdefault(line.split(" | ")[0].removeprefix("| "), []).append(line)
    return rows


def write(results, path: Path) -> None:
    """Writes a table of results as a page in Markdown. Rows of other models in the file are kept.

    Raises:
        ValueError: If the file is no such table.
    """
    rows = read_rows(path) | {result.model: [] for result in results}
    for result in results:
        rows[result.model].append(_row(result))
    known = catalog.all_names()
    ordered = sorted(rows, key=lambda name: known.index(name) if name in known else len(known))
    with atomic_write(path) as partial:
        lines = (line for name in ordered for line in rows[name])
        partial.write_text(HEAD + "".join(lines), encoding="utf-8")


def _row(result: Result) -> str:
    anchor = result.metric["anchor"]
    compared = f"{anchor['value']} ({anchor['source']})" if anchor else "–"
    value = with_stderr(result.measured["value"], result.measured["stderr"])
    name = result.metric["name"]
    return f"| {result.model} | {name} | {value} | {compared} | {result.seconds:.0f} |\n"
