"""Writes a model as a version below a base path of TF Serving, or as a TF Lite file."""

import os
import tempfile
from pathlib import Path

from zoo import artifact
from zoo.export import saved_model, tflite
from zoo.utils.atomic import atomic_write, new_folder, plain_write_errors


def export_saved_model(model, base_path) -> Path:
    """Writes a model as the next version below a base path of TF Serving, which may be live.

    The version appears in one rename, and several exports may run at once. An export that is killed
    leaves a hidden folder ``.….partial``, which TF Serving ignores and which may be removed when
    no export runs.

    Returns:
        The version's folder, whose number is one above the highest there.

    Raises:
        OSError: If the base path is not a folder that can be written to, or its disk is full.
    """
    base_path = Path(base_path)
    with (
        plain_write_errors(base_path),
        new_folder(base_path),
        tempfile.TemporaryDirectory(dir=base_path, prefix=".", suffix=".partial") as partial,
    ):
        # One level below, because a temporary directory itself is readable by its owner alone.
        saved_model.write(model, Path(partial) / "version")
        return next_version(Path(partial) / "version", base_path)


def next_version(written: Path, base_path: Path) -> Path:
    """Renames a finished folder to the next version of a base path, and returns its new path."""
    while True:
        version = base_path / str(artifact.next_version(base_path))
        try:
            os.rename(written, version)
            return version
        except OSError:
            if not version.exists():  # Otherwise another export has just taken the number.
                raise


def export_tflite(model, path, precision: str, samples: dict | None = None) -> Path:
    """Writes a model as a TF Lite file.

    Args:
        model: On the Keras runtime.
        path: The file.
        precision: "float32", "float16" or "int8".
        samples: For int8, the result of ``zoo.export.calibration.samples``.

    Returns:
        The path.

    Raises:
        ValueError: If there is no such precision, or int8 has no samples.
        FileNotFoundError: If the folder is missing.
        IsADirectoryError: If the path is a folder.
        OSError: If the disk, or that of the temporary folder, is full.
    """
    path = Path(path)
    if path.is_dir():
        example = path / "model.tflite"
        raise IsADirectoryError(f"{path} is a folder: name a file, for example {example}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    with tempfile.TemporaryDirectory() as temporary, plain_write_errors(temporary):
        saved_model.write(model, Path(temporary) / "1")
        content = tflite.convert(Path(temporary) / "1", precision, samples)
    with atomic_write(path) as partial:
        partial.write_bytes(content)
    return path
