"""Publishes a model: writes an artifact, whole or not at all."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from zoo import artifact, catalog, evaluation
from zoo.data import for_model, get
from zoo.export import calibration, next_version, saved_model, tflite
from zoo.inference.litert import LiteRT
from zoo.inference.methods import from_card
from zoo.inference.validation import short
from zoo.models.base import GenerativeModel
from zoo.publishing import models_config, page, warmup
from zoo.publishing.card import card_of, versions
from zoo.publishing.sheet import sample_sheet
from zoo.publishing.weights import shippable
from zoo.utils import image_files
from zoo.utils.atomic import atomic_write, new_folder, plain_write_errors

INT8 = "litert-int8"


def publish(model, folder, data=None) -> Path:
    """Writes a model as an artifact, or as the next version of one.

    Args:
        model: A model of ``zoo.models``, for example one that ``fit`` has trained.
        folder: Folder of the artifact, whose name is the name of the model.
        data: Held-out images for the metrics and for the calibration of the int8 file, as
            ``zoo.data.get`` takes them. Without them the artifact has no int8 file and no metrics.

    Returns:
        The folder.

    Raises:
        ValueError: If an argument is not as above.
        OSError: If the folder cannot be written to.
    """
    if not isinstance(model, GenerativeModel):
        raise ValueError(f"model must be a model of zoo.models; received: {short(model)}.")
    source = None if data is None else get(data)
    images = None if source is None else evaluation.Splits.of_source(source)
    card = card_of(model, Path(folder).resolve().name)
    metrics = model.evaluation_metrics if images else {}
    return publish_with_card(model, card, folder, images, metrics, calibration_role="test")


def publish_with_card(
    model,
    card: catalog.Card,
    folder,
    images: evaluation.Splits | None,
    metrics: dict,
    *,
    calibration_role: str = "train",
    command_name: str | None = None,
    progress=None,
) -> Path:
    """Writes a model as an artifact, or as the next version of one.

    Args:
        model: On the Keras runtime.
        card: Its card. Metrics on it are those of the weights: they are not measured again, and the
            weights are not rounded.
        folder: Folder of the artifact.
        images: Images for the metrics, the calibration of the int8 file, and the conditions of the
            sample sheet; None writes no int8 file and measures nothing.
        metrics: {name: settings} of the metrics.
        calibration_role: Role of the images for the calibration and the sample sheet.
        command_name: Name of the model in the commands of the metrics; None for images that no
            command can name.
        progress: As in ``zoo.evaluation.evaluate``.

    Returns:
        The folder.

    Raises:
        OSError: If the folder cannot be written to.
    """
    folder, model = Path(folder), shippable(model, keep_weights=bool(card.metrics))
    source = for_model(images.source(calibration_role), model) if images else None
    anchors = card.recipe.get("anchors") or {}

    def measured(on, runtime):
        chosen = evaluation.choose(card.name, metrics, None, on, images, runtime) if images else {}
        known = {metric["name"]: metric for metric in card.metrics} if runtime == "keras" else {}
        missing = {name: settings for name, settings in chosen.items() if name not in known}
        return [known[name] for name in chosen if name in known] + evaluation.evaluate(
            on, command_name, missing, images, anchors=anchors, runtime=runtime, progress=progress
        )

    with (
        plain_write_errors(folder),
        new_folder(folder),
        tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".partial") as partial,
    ):
        # One level below, because a temporary directory itself is readable by its owner alone.
        version = Path(partial) / "version"
        image_files.write(sample_sheet(model, source), Path(partial) / artifact.SHEET)
        _write_version(version, model, card, source)
        found = measured(model, "keras")
        if (version / artifact.FILES[INT8]).exists():
            found += measured(from_card(card, LiteRT(version / artifact.FILES[INT8])), INT8)
        card = replace(card, metrics=found, versions=card.versions or versions())
        _put_in_place(Path(partial), folder, card)
    models_config.update(folder.parent)
    return folder


def _write_version(version: Path, model, card, source) -> None:
    """Writes the SavedModel and the further files of a version."""
    saved_model.write(model, version)
    (version / artifact.ASSETS).mkdir(exist_ok=True)
    model.save(version / artifact.FILES["keras"])
    (version / artifact.FILES["litert"]).write_bytes(tflite.convert(version, "float16"))
    if source is not None:
        content = tflite.convert(version, "int8", calibration.samples(model, source))
        (version / artifact.FILES[INT8]).write_bytes(content)
    warmup.write_requests(card, version)


def _put_in_place(partial: Path, folder: Path, card: catalog.Card) -> None:
    """Moves a finished version, the sheet and the page into the folder; the card comes last."""
    (partial / artifact.PAGE).write_text(page.text(card, partial / "version"), encoding="utf-8")
    older = {}
    if (folder / artifact.CARD).is_file():
        older = catalog.Card.read(folder / artifact.CARD).files
    files = {path: entry for path, entry in older.items() if path.partition("/")[0].isdecimal()}
    new = catalog.describe_all(partial)
    version = next_version(partial / "version", folder)
    try:
        files |= {path.replace("version/", f"{version.name}/"): new[path] for path in new}
        with atomic_write(folder / artifact.CARD) as card_file:
            card_file.write_text(replace(card, files=files).to_json(), encoding="utf-8")
            for name in (artifact.SHEET, artifact.PAGE):
                os.replace(partial / name, folder / name)
    except BaseException:
        shutil.rmtree(version)
        raise
