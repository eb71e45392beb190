"""From a model to what is deployed: TF Serving's layout, TF Lite files, and the folders of the catalog."""

import os
import tempfile
from pathlib import Path

from zoo.utils.atomic import atomic_write, new_folder, plain_write_errors


def publish_version(model, base_path) -> Path:
    """Writes a model as the next version below a base path of TF Serving, which may be live.

    The version appears whole, in one rename, and several exports may run at once. One that is
    killed leaves at most a hidden sibling ``.….partial``, which TF Serving passes over and which
    may be removed when no export runs.

    Returns:
        The version's directory, numbered one above the highest there.

    Raises:
        OSError: where the base path is no folder that can be written to, or its disk is full.
    """
    from zoo.export import saved_model

    base_path = Path(base_path)
    with (
        plain_write_errors(base_path),
        new_folder(base_path),
        tempfile.TemporaryDirectory(dir=base_path, prefix=".", suffix=".partial") as partial,
    ):
        # One level below, because a temporary directory itself is for its owner's eyes alone.
        saved_model.write(model, Path(partial) / "version")
        return next_version(Path(partial) / "version", base_path)


def next_version(written: Path, base_path: Path) -> Path:
    """Renames a finished directory to the next version of a base path."""
    while True:
        version = base_path / str(
            1
            + max(
                (int(path.name) for path in base_path.iterdir() if path.name.isdecimal()), default=0
            )
        )
        try:
            os.rename(written, version)
            return version
        except OSError:
            if not version.exists():  # else another export has just taken the number
                raise


def write_tflite(model, path, precision: str, samples: dict | None = None) -> Path:
    """Writes a model as a TF Lite file; int8 takes ``zoo.export.calibration.samples``.

    Raises:
        ValueError: where the precision is none of "float32", "float16" and "int8", or int8 has no
            samples.
        FileNotFoundError: where the folder is missing.
        IsADirectoryError: where the path is a folder.
        OSError: where the disk, or that of the temporary folder, is full.
    """
    from zoo.export import saved_model, tflite

    path = Path(path)
    if path.is_dir():
        example = path / "model.tflite"
        raise IsADirectoryError(f"{path} is a folder: name a file, {example} for instance.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    with tempfile.TemporaryDirectory() as temporary, plain_write_errors(temporary):
        saved_model.write(model, Path(temporary) / "1")
        content = tflite.convert(Path(temporary) / "1", precision, samples)
    with atomic_write(path) as partial:
        partial.write_bytes(content)
    return path
