"""Updates the card and the page of an artifact without a new version of its files."""

from dataclasses import replace
from pathlib import Path

from zoo import artifact, catalog, evaluation
from zoo.publishing import page
from zoo.publishing.write import measured
from zoo.utils.atomic import atomic_write


def update_card(
    folder: Path,
    card: catalog.Card,
    load,
    images: evaluation.Splits,
    metrics: dict,
    *,
    command_name: str,
    progress=None,
) -> None:
    """Measures the metrics that a card lacks, and writes the card and the page.

    Args:
        folder: Folder of the artifact.
        card: Its card, perhaps with other fields than the file's. Values on it are kept.
        load: Callable that returns the model on a runtime, from the artifact's files.
        images: Images for the metrics.
        metrics: {name: settings} of the metrics that the card should have.
        command_name: Name of the model in the commands of the metrics.
        progress: As in ``zoo.evaluation.evaluate``.

    Raises:
        OSError: If the folder cannot be written to.
    """
    version = catalog.version(folder, card)
    found = []
    for runtime in ("keras", artifact.INT8):
        if (version / artifact.FILES[runtime]).exists():
            settings = {"command_name": command_name, "progress": progress}
            model = load(runtime)
            values = measured(card, images, metrics, model, runtime, **settings)
            found += [_with_quick(value, images, metrics, model, runtime) for value in values]
    card = replace(card, metrics=found)
    with atomic_write(folder / artifact.PAGE) as partial:
        partial.write_text(page.text(card, version, command_name), encoding="utf-8")
    files = card.files | {artifact.PAGE: catalog.describe(folder / artifact.PAGE)}
    with atomic_write(folder / artifact.CARD) as partial:
        partial.write_text(replace(card, files=files).to_json(), encoding="utf-8")


def _with_quick(value: dict, images, metrics: dict, model, runtime: str) -> dict:
    """Returns an entry of a card with its value on the first tenth of the images."""
    name = value["name"].partition("@")[0]
    if "quick" in value or not evaluation.METRICS[name].on_first_images:
        return {"quick": None} | value
    tenth = {"runtime": runtime, "images": value["n"] // 10}
    (few,) = evaluation.evaluate(model, None, {name: metrics[name]}, images, **tenth)
    return value | {"quick": {key: few[key] for key in ("value", "stderr", "n")}}
