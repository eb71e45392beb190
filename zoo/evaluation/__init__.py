"""Evaluation metrics. A recipe names its metrics and their settings; a card holds the results."""

import functools
import inspect
import math
import re
import shlex

from zoo import catalog
from zoo.evaluation.likelihood import decoded_likelihood, negative_log_likelihood
from zoo.evaluation.neighbors import coverage, nearest_neighbor
from zoo.evaluation.parzen import parzen

METRICS = {
    "nll": functools.partial(negative_log_likelihood, proposal="posterior"),
    "nll_monte_carlo": functools.partial(negative_log_likelihood, proposal="prior"),
    "nll_decoded": decoded_likelihood,
    "parzen": parzen,
    "nearest_neighbor": nearest_neighbor,
    "nearest_neighbor_real": functools.partial(nearest_neighbor, samples=None),
    "coverage": coverage,
    "largest_share": functools.partial(coverage, largest=True),
}
HIGHER_IS_BETTER = {"parzen", "coverage"}
# Those that ask a model for nothing but the verbs of every runtime, and do ask it.
ON_ANY_RUNTIME = {"nll_decoded", "parzen", "nearest_neighbor", "coverage", "largest_share"}


def evaluate(
    model,
    name: str,
    recipe,
    metrics=None,
    *,
    runtime="keras",
    images=None,
    data_dir=None,
    progress=None,
) -> list[dict]:
    """Measures a model by its recipe's metrics.

    Args:
        model: on that runtime.
        name: what ``zoo evaluate`` calls it, for the metric's command.
        recipe: a ``zoo.recipes.Recipe``.
        metrics: names of some of the recipe's metrics, or None for all that the runtime answers.
        runtime: what computes the model, one of ``zoo.loading.RUNTIMES``; a metric's name ends in
            "@runtime" unless it is "keras".
        images: measure on the first so many images of the split alone, for the metrics that go
            through one. Their anchor, which is of the whole split, is then None. None measures on
            all.
        data_dir: where tensorflow-datasets keeps its data.
        progress: called with a metric's name and the numbers of images done and of all images.

    Returns:
        The metrics of a card: {name, value, stderr, n, split, protocol, anchor, command}.

    Raises:
        ValueError: where the recipe has no such metric, or the runtime does not answer it.
    """
    ending, option = ("", "") if runtime == "keras" else (f"@{runtime}", f" --runtime {runtime}")
    found = []
    for metric in chosen(name, recipe, metrics, runtime):
        title, command = (
            metric + ending,
            f"zoo evaluate {shlex.quote(name)} --metric {metric}{option}",
        )
        settings, anchor = {"data_dir": data_dir}, recipe.anchors.get(title)
        if images and "split" in inspect.signature(METRICS[metric]).parameters:
            settings["split"] = first(images, recipe.metrics[metric].get("split", "test"))
            anchor, command = None, f"{command} --images {images}"
        if progress:
            settings["progress"] = functools.partial(progress, title)
        value = measure(model, recipe, metric, **settings)
        found.append({"name": title} | value | {"anchor": anchor, "command": command})
    return found


def first(n: int, split: str) -> str:
    """The first n images of a split, "test" or "test[:1000]", as a split.

    Raises:
        ValueError: where the split is of another form.
    """
    parts = re.fullmatch(r"(\w+)(?:\[:(\d+)\])?", split)
    if not parts:
        raise ValueError(
            f"The first images can be taken of a split like test or test[:1000]; received: {split!r}."
        )
    name, size = parts.groups()
    return f"{name}[:{min(n, int(size or n))}]"


def measure(model, recipe, metric: str, **settings) -> dict:
    """One metric with the recipe's settings of it: {value, stderr, n, split, protocol}."""
    return METRICS[metric](model, recipe, **recipe.metrics[metric] | settings)


def better(metric: str, value: float, other: float) -> bool:
    """Whether a value of a metric is better than another."""
    if math.isnan(value) or math.isnan(other):
        return math.isnan(other)
    return value > other if metric in HIGHER_IS_BETTER else value < other


def chosen(name: str, recipe, metrics, runtime: str) -> list[str]:
    """The metrics that are asked for, all of the recipe's that the runtime answers where none is named.

    Raises:
        ValueError: where the recipe has no such metric, or the runtime does not answer it.
    """
    known = [metric for metric in recipe.metrics if runtime == "keras" or metric in ON_ANY_RUNTIME]
    for metric in metrics or ():
        if metric not in known:
            where = "" if runtime == "keras" else f" on the runtime {runtime}"
            raise ValueError(
                f"{name} is not measured by {metric!r}{where}{catalog.nearest(metric, known)}."
            )
    return list(metrics or known)
