"""Texts of measured numbers."""

import math


def with_stderr(value: float, stderr: float) -> str:
    """Returns "value ± standard error", with two digits of the error and at least two decimals."""
    decimals = 2 if stderr <= 0 else max(2, 1 - math.floor(math.log10(stderr)))
    return f"{value:.{decimals}f} ± {stderr:.{decimals}f}"


def counted(number: int, noun: str) -> str:
    """Returns a number with a regular noun, for example "1 epoch" or "10 epochs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Returns a time in seconds, minutes or hours, at least one second."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
