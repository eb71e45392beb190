"""Texts of measured numbers."""

import math


def with_stderr(value: float, stderr: float) -> str:
    """Returns "value ± standard error", with two digits of the error and at least two decimals."""
    decimals = 2 if stderr <= 0 else max(2, 1 - math.floor(math.log10(stderr)))
    return f"{value:.{decimals}f} ± {stderr:.{decimals}f}"
