"""What the benchmarks share."""

import argparse
import statistics
import time

import zoo


def arguments(description: str, repeat: int) -> argparse.Namespace:
    """The command line of a benchmark: ``--models`` and ``--repeat``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--models", nargs="+", choices=zoo.list_models(), default=zoo.list_models(), metavar="NAME"
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=repeat,
        help=f"Rounds, of which the medians are taken.  [{repeat}]",
    )
    return parser.parse_args()


def rounds(repeat: int, *actions) -> list[list[float]]:
    """Seconds of each action in each round, in which all are run in turn: a busy moment of the machine strikes all alike."""
    seconds = [[] for _ in actions]
    for _ in range(repeat):
        for action, taken in zip(actions, seconds):
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
    return seconds


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(one / other for one, other in zip(numerators, denominators))


def print_row(*cells) -> None:
    """A row of a Markdown table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_header(*cells) -> None:
    print_row(*cells)
    print("|" + "---|" * len(cells), flush=True)
