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


def write_tflite(model, path, precision: str, recipe, data_dir=None) -> Path:
    """Writes a model as a TF Lite file; int8 is calibrated with images of the recipe's training data.

    Raises:
        FileNotFoundError: where the folder is missing, or for int8 the data.
    """
    import tempfile

    from zoo.export import saved_model, tflite

    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    examples = tflite.examples(model, *calibration_images(recipe, data_dir)) if precision == "int8" else None
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write(model, Path(folder) / "1")
        content = tflite.convert(Path(folder) / "1", precision, examples)
    with whole(path) as partial:
        partial.write_bytes(content)
    return path


def calibration_images(recipe, data_dir=None, n: int = 200):
    """n images of the training data as the model sees them in training, and what stands beside them, by signature input."""
    from zoo import datasets
    from zoo.training import condition_of

    images, labels = (
        column if column is None else column[:n] for column in datasets.load(recipe.dataset, recipe.split, data_dir)
    )
    images = datasets.binarize(images) if recipe.binarize else images
    condition = condition_of(recipe, images, labels)
    return images, {} if condition is None else {"label" if recipe.condition == "label" else "condition": condition}
