"""From a model to what is deployed: TF Serving's layout, TF Lite files, and the folders of the catalog."""

from pathlib import Path

from zoo.files import whole


def publish_version(model, base_path) -> Path:
    """Writes a model as the next version below a base path of TF Serving, which may be live.

    Returns:
        The version's directory, numbered one above the highest there.
    """
    from zoo.export import saved_model

    base_path = Path(base_path)
    base_path.mkdir(parents=True, exist_ok=True)
    version = 1 + max((int(path.name) for path in base_path.iterdir() if path.name.isdigit()), default=0)
    with whole(base_path / str(version)) as partial:
        saved_model.write(model, partial)
    return base_path / str(version)


def write_tflite(model, path, precision: str, samples: dict | None = None) -> Path:
    """Writes a model as a TF Lite file; int8 takes ``zoo.export.calibration.samples``.

    Raises:
        ValueError: where the precision is none of "float32", "float16" and "int8", or int8 has no samples.
        FileNotFoundError: where the folder is missing.
    """
    import tempfile

    from zoo.export import saved_model, tflite

    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write(model, Path(folder) / "1")
        content = tflite.convert(Path(folder) / "1", precision, samples)
    with whole(path) as partial:
        partial.write_bytes(content)
    return path
