"""Standard errors by the jackknife over disjoint groups of rows."""

import numpy as np

GROUPS = 10


def groups(n: int) -> np.ndarray:
    """Returns the group of each of n rows in turn, int64 ``(n,)`` from 0 to GROUPS − 1.

    Rows belong to blocks of consecutive rows, so that a group is a part of the rows in order.
    """
    return np.arange(n) * GROUPS // n


def estimate(statistic) -> dict:
    """Computes a statistic of all rows and its standard error.

    The statistic is computed again without each group. With g groups, the standard error is
    √((g − 1) / g Σ (tᵢ − t)²). Here tᵢ is the statistic without group i, and t is the
    mean of all tᵢ (Efron & Tibshirani 1993, equation 11.5). For a mean it is the standard
    deviation of the groups' means over √g.

    Args:
        statistic: Callable. Maps a bool array ``(GROUPS,)``, the groups to use, to a number.

    Returns:
        {value, stderr}.
    """
    everything = np.ones(GROUPS, bool)
    without = np.array([statistic(everything & (np.arange(GROUPS) != i)) for i in range(GROUPS)])
    spread = (GROUPS - 1) * np.mean((without - without.mean()) ** 2)
    return {"value": float(statistic(everything)), "stderr": float(np.sqrt(spread))}


def estimate_mean(values) -> dict:
    """Computes the mean of values ``(n,)`` and its standard error over the groups."""
    of_group = groups(len(values))
    sums = np.bincount(of_group, values, GROUPS)
    counts = np.bincount(of_group, minlength=GROUPS)
    return estimate(lambda used: sums[used].sum() / counts[used].sum())
