"""Measures models by named metrics."""

import functools
import importlib
import inspect
import math
import pkgutil
import shlex

from zoo import evaluation
from zoo.catalog import nearest
from zoo.evaluation.attributes import Metrics
from zoo.evaluation.splits import Splits
from zoo.inference import validation


def _metrics() -> dict:
    """Returns the ``METRICS`` of all modules of this folder."""
    modules = [
        importlib.import_module(f"zoo.evaluation.{module.name}")
        for module in pkgutil.iter_modules(evaluation.__path__)
        if f"zoo.evaluation.{module.name}" != __name__
    ]
    return Metrics(
        (name, metric)
        for module in modules
        for name, metric in getattr(module, "METRICS", {}).items()
    )


METRICS = _metrics()


def choose(name: str, metrics: dict, names, model, data: Splits, runtime="keras") -> dict:
    """Returns the metrics to measure, {name: settings}.

    Args:
        name: Name of the model, for the error.
        metrics: {name: settings} of a recipe.
        names: Names of metrics, among these or others, or None for all of these that the model
            and the data allow.
        model: On any runtime.
        data: The images.
        runtime: Runtime of the model. A metric that calls no method of the model belongs to
            "keras".

    Raises:
        ValueError: If a recipe has an unknown metric or setting, or one of the names is not among
            the metrics that can be measured.
    """
    check(metrics)
    known = dict.fromkeys([*METRICS, *metrics, *(name for name in names or () if name in METRICS)])
    allowed = [metric for metric in known if _allows(METRICS[metric], model, data, runtime)]
    for metric in names or ():
        if metric not in allowed:
            raise ValueError(
                f"{name} cannot be measured by {metric!r} on the runtime {runtime}"
                f"{nearest(metric, allowed)}."
            )
    if names:
        return {metric: metrics.get(metric, {}) for metric in names}
    return {metric: metrics[metric] for metric in metrics if metric in allowed}


def _allows(metric, model, data, runtime) -> bool:
    """Returns whether a model and the data have what a metric needs."""
    return (
        bool(metric.methods or runtime == "keras")
        and all(hasattr(model, method) for method in metric.methods)
        and set(metric.splits) <= set(data.names)
    )


def evaluate(
    model,
    name: str | None,
    metrics: dict,
    data: Splits,
    *,
    anchors: dict | None = None,
    runtime: str = "keras",
    images: int | None = None,
    options=(),
    progress=None,
) -> list[dict]:
    """Measures a model.

    Args:
        model: A model on that runtime.
        name: Name or path by which ``zoo evaluate`` finds the model, for the command of each
            metric; None for a model whose data have no name.
        metrics: {name: settings}, as ``choose`` returns them.
        data: The images.
        anchors: {metric: {value, source}}, published values.
        runtime: Runtime of the model. Unless it is "keras", a metric's name ends in "@runtime".
        images: Measure on the first so many images at most, for the metrics that are means over
            images. Their anchor, which belongs to all images, is then None.
        options: Further options of the command of each metric.
        progress: Called with a metric's name and the numbers of parts done and of all parts.

    Returns:
        The metrics of a card: {name, value, stderr, n, split, protocol, quick, anchor, command}.

    Raises:
        ValueError: If a metric does not have one of its settings, or the model cannot be measured
            on the images.
    """
    found = []
    validate(metrics, model, data)
    for metric, settings in metrics.items():
        title = metric if runtime == "keras" else f"{metric}@{runtime}"
        command = ["zoo", "evaluate", name, "--metric", metric, *options]
        command += [] if runtime == "keras" else ["--runtime", runtime]
        anchor, quick = (anchors or {}).get(title), None
        if images and METRICS[metric].on_first_images:
            settings = settings | {"images": min(images, settings.get("images") or images)}
            command += ["--images", str(images)]
            anchor = None
        reporting = functools.partial(progress, title) if progress else None
        value = measure(metric, model, data, settings, reporting)
        of_tenth = value.pop("quick", None)
        if not images and METRICS[metric].on_first_images:
            quick = of_tenth
        command = shlex.join(command) if name else None
        more = {"quick": quick, "anchor": anchor, "command": command}
        found.append({"name": title} | value | more)
    return found


def validate(metrics, model, data: Splits) -> None:
    """Validates that metrics can be measured, before the first of them takes its time.

    Args:
        metrics: Names of metrics, as ``choose`` returns them.
        model: A model on any runtime.
        data: The images.

    Raises:
        ValueError: If the model cannot be measured on the images.
    """
    for metric in metrics:
        METRICS[metric].validate(model, data)


def check(metrics: dict) -> None:
    """Validates the metrics of a recipe and their settings.

    Raises:
        ValueError: If there is no such metric, or a metric does not have one of its settings.
    """
    for name, settings in metrics.items():
        if name not in METRICS:
            raise ValueError(f"metrics has no metric {name!r}{nearest(name, METRICS)}.")
        parameters = inspect.signature(METRICS[name].measure).parameters
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
            continue
        known = sorted(set(parameters) - {"model", "data", "progress"})
        for setting, value in settings.items():
            if setting not in known:
                raise ValueError(
                    f"metrics.{name} has no setting {setting!r}{nearest(setting, known)}."
                )
            validation.positive_int(value, f"metrics.{name}.{setting}")


def measure(metric: str, model, data: Splits, settings: dict, progress=None) -> dict:
    """Measures one metric with settings, see ``Metric.measure``.

    Raises:
        ValueError: If the metric does not have one of the settings, or the model cannot be measured
            on the images.
    """
    check({metric: settings})
    METRICS[metric].validate(model, data)
    return METRICS[metric].measure(model, data, progress=progress, **settings)


def better(metric: str, value: float, other: float) -> bool:
    """Returns whether a value of a metric is better than another one; NaN is worse than any."""
    if math.isnan(value) or math.isnan(other):
        return math.isnan(other)
    return value > other if METRICS[metric].higher_is_better else value < other
