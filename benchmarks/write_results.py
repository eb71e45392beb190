"""Runs all benchmarks and writes their tables to benchmarks/RESULTS.md, which takes minutes.

Nothing else should run on the machine meanwhile.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    ["cold_start.py"],
    ["sampling.py"],
    ["runtimes.py"],
    ["serving.py"],
    ["generate.py", "--models", "cvae_mnist", "dcgan_mnist"],
    ["training.py"],
)
HEAD = """# Benchmarks

`python benchmarks/write_results.py` writes this page, and the command above a table prints that
table alone. The tables were measured on machines with {cores} CPU cores, so compare only values of
the same table. Times and rates are medians, and a ratio is the median of the ratios of all rounds.
"""


def section(script: Path, *options: str) -> str:
    """Runs a benchmark and returns its description, its command and the table that it printed."""
    description = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    command = [sys.executable, str(script), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    shown = f"```sh\npython {' '.join([f'benchmarks/{script.name}', *options])}\n```"
    return f"\n{description}\n\n{shown}\n\n{done.stdout.decode()}"


if __name__ == "__main__":
    folder = Path(__file__).parent
    sections = [section(folder / script, *options) for script, *options in SCRIPTS]
    page = HEAD.format(cores=os.cpu_count()) + "".join(sections)
    (folder / "RESULTS.md").write_text(page, encoding="utf-8")
