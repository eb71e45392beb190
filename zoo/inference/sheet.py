"""Sample sheet of an artifact."""

import numpy as np

from zoo.utils import image_files

ROWS = 10
MOST_COLUMNS = 20


def sample_sheet(model, source=None):
    """Draws a sheet of samples of the first seeds.

    Args:
        model: On any runtime.
        source: ``zoo.data.Source`` whose first conditions a model that is conditional on a tensor
            is given, one for each row. Without it there is one condition, of values 0.5. Attributes
            vary with the seed.

    Returns:
        A ``PIL.Image``: a column for each label if there are at most 20, or a row for each
        condition.
    """
    columns = 10
    if model.num_classes and model.num_classes <= MOST_COLUMNS:
        columns = model.num_classes
    condition = None
    if model.condition_shape and not model.attributes:
        condition = np.full((1, *model.condition_shape), 0.5, np.float32)
        if source is not None:
            _, condition = source.first(ROWS)
        condition = condition.repeat(columns, axis=0)
    n = columns * ROWS if condition is None else len(condition)
    return image_files.sheet(model.sample(n, seed=0, condition=condition), columns=columns)
