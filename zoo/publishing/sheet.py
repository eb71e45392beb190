"""Sample sheet of an artifact."""

from zoo.utils import image_files

ROWS = 10
MOST_COLUMNS = 20


def sample_sheet(model, source=None):
    """Draws a sheet of samples of the first seeds.

    Args:
        model: On any runtime.
        source: ``zoo.data.Source`` whose first conditions a model with a condition is given, one
            for each row.

    Returns:
        A ``PIL.Image``: a column for each label if there are at most 20, or a row for each
        condition.

    Raises:
        ValueError: If the model has a condition and there is no source.
    """
    columns = 10
    if model.num_classes and model.num_classes <= MOST_COLUMNS:
        columns = model.num_classes
    condition = None
    if model.condition_shape:
        if source is None:
            raise ValueError(
                "data must be given for a model that is conditional on a tensor, because the "
                "sample sheet needs conditions; received: None."
            )
        _, condition = source.first(ROWS)
        condition = condition.repeat(columns, axis=0)
    n = columns * (len(condition) // columns if condition is not None else ROWS)
    return image_files.sheet(model.sample(n, seed=0, condition=condition), columns=columns)
