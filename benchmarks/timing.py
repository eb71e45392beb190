"""Timing and tables of the benchmarks."""

import argparse
import statistics
import time

import zoo


def arguments(description: str, repeat: int) -> argparse.Namespace:
    """Parses the command line of a benchmark, ``--models`` and ``--repeat``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--models", nargs="+", choices=zoo.list_models(), default=zoo.list_models(), metavar="NAME"
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=repeat,
        help=f"Number of rounds; the table has their medians.  [{repeat}]",
    )
    return parser.parse_args()


def rounds(repeat: int, *actions) -> list[list[float]]:
    """Measures the seconds of each action in each round.

    A round runs all actions in turn, so that other load on the machine affects all of them.

    Args:
        repeat: Number of rounds.
        *actions: Functions without arguments.

    Returns:
        A list of ``repeat`` times for each action.
    """
    seconds = [[] for _ in actions]
    for _ in range(repeat):
        for action, taken in zip(actions, seconds):
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
    return seconds


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """Returns the median of the ratios of all rounds."""
    return statistics.median(one / other for one, other in zip(numerators, denominators))


def print_row(*cells) -> None:
    """Prints a row of a Markdown table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_header(*cells) -> None:
    """Prints the header of a Markdown table."""
    print_row(*cells)
    print("|" + "---|" * len(cells), flush=True)
