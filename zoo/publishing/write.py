"""Writes a model as an artifact, whole or not at all."""

import contextlib
import functools
import os
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from zoo import artifact, catalog, evaluation
from zoo.data import for_model, get
from zoo.export import calibration, next_version, saved_model, tflite
from zoo.inference.litert import LiteRT
from zoo.inference.methods import from_card
from zoo.inference.sheet import sample_sheet
from zoo.inference.validation import short
from zoo.models.base import ImageModel
from zoo.publishing import models_config, page, warmup
from zoo.publishing.card import card_of, versions
from zoo.publishing.weights import compressed_hdf5, shippable
from zoo.utils import image_files
from zoo.utils.atomic import atomic_write, new_folder, plain_write_errors


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
    if not isinstance(model, ImageModel):
        raise ValueError(f"model must be a model of zoo.models; received: {short(model)}.")
    images = None if data is None else evaluation.Splits.of_source(get(data))
    card = card_of(model, Path(folder).resolve().name)
    return publish_with_card(model, card, folder, images, model.evaluation_metrics)


def publish_with_card(
    model,
    card: catalog.Card,
    folder,
    images: evaluation.Splits | None,
    metrics: dict,
    *,
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
        command_name: Name of the model in the commands of the metrics; None for images that no
            command can name.
        progress: As in ``zoo.evaluation.evaluate``.

    Returns:
        The folder.

    Raises:
        DamagedFileError: If the folder is that of an artifact with a damaged card.
        OSError: If the folder cannot be written to, or holds other files.
        ValueError: If the model cannot be measured on the images, for example because their
            evaluation classifier is missing.
    """
    folder, model = Path(folder), shippable(model, keep_weights=bool(card.metrics))
    _validate_folder(folder)
    evaluation.validate(_missing(card, images, metrics, model, "keras"), model, images)
    source = for_model(images.for_calibration, model) if images else None
    measure = functools.partial(
        measured, card, images, metrics, command_name=command_name, progress=progress
    )
    with (
        plain_write_errors(folder),
        new_folder(folder),
        tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".partial") as partial,
    ):
        # One level below, because a temporary directory itself is readable by its owner alone.
        version = Path(partial) / "version"
        if model.has("sample"):
            image_files.write(sample_sheet(model, source), Path(partial) / artifact.SHEET)
        _write_version(version, model, card, source)
        found = measure(model, "keras")
        int8 = version / artifact.FILES[artifact.INT8]
        if int8.exists():
            found += measure(from_card(card, LiteRT(int8)), artifact.INT8)
        card = replace(card, metrics=found, versions=card.versions or versions())
        text = page.text(card, version, command_name or str(folder))
        (Path(partial) / artifact.PAGE).write_text(text, encoding="utf-8")
        with _locked(folder):
            _put_in_place(Path(partial), folder, card)
    models_config.update(folder.parent)
    return folder


def measured(card, images, metrics, model, runtime, **settings) -> list[dict]:
    """Returns the metrics of a model on a runtime, in the order of ``metrics``.

    Those on the card are not measured again.
    """
    values = _known(card, runtime)
    missing = _missing(card, images, metrics, model, runtime)
    name, anchors = settings.pop("command_name"), card.recipe.get("anchors")
    found = evaluation.evaluate(
        model, name, missing, images, anchors=anchors, runtime=runtime, **settings
    )
    values |= {metric["name"].partition("@")[0]: metric for metric in found}
    if images is None:
        return list(values.values())
    return [values[name] for name in metrics if name in values]


def _known(card, runtime) -> dict[str, dict]:
    """Returns the metrics on a card of a runtime, by name."""
    return {
        name: metric
        for metric in card.metrics
        for name, _, on in [metric["name"].partition("@")]
        if (on or "keras") == runtime
    }


def _missing(card, images, metrics, model, runtime) -> dict:
    """Returns the metrics that a card lacks and that can be measured, {name: settings}."""
    if images is None:
        return {}
    known = _known(card, runtime)
    chosen = evaluation.choose(card.name, metrics, None, model, images, runtime)
    return {name: settings for name, settings in chosen.items() if name not in known}


def _validate_folder(folder: Path) -> None:
    """Validates that a folder is new, empty or that of an artifact, before anything is computed."""
    if (folder / artifact.CARD).is_file():
        catalog.Card.read(folder / artifact.CARD)
    elif folder.is_dir() and any(folder.glob("[!.]*")):
        raise OSError(
            f"{folder} must be a new or empty folder, or that of an artifact; received: a folder "
            "with other files."
        )


def _write_version(version: Path, model, card, source) -> None:
    """Writes the SavedModel and the further files of a version."""
    saved_model.write(model, version)
    (version / artifact.ASSETS).mkdir(exist_ok=True)
    model.save(version / artifact.FILES["keras"])
    _compress(version / artifact.FILES["keras"])
    (version / artifact.FILES["litert"]).write_bytes(tflite.convert(version, "float16"))
    if source is not None and model.has_int8:
        content = tflite.convert(version, "int8", calibration.samples(model, source))
        (version / artifact.FILES[artifact.INT8]).write_bytes(content)
    warmup.write_requests(card, version)


def _compress(path: Path) -> None:
    """Compresses the members of a Keras file, because rounded weights have many bits that are 0."""
    with zipfile.ZipFile(path) as stored:
        members = {name: stored.read(name) for name in stored.namelist()}
    members = {
        name: compressed_hdf5(content) if name.endswith(".h5") else content
        for name, content in members.items()
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as compressed:
        for name, content in members.items():
            compressed.writestr(name, content)


@contextlib.contextmanager
def _locked(folder: Path):
    """Lets one publication at a time change a folder, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _put_in_place(partial: Path, folder: Path, card: catalog.Card) -> None:
    """Moves a finished version, the sheet and the page into the folder; the card comes last."""
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
            for path in partial.glob("*.*"):
                os.replace(path, folder / path.name)
    except BaseException:
        shutil.rmtree(version)
        raise
