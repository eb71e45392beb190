"""Runs all benchmarks and writes their tables to benchmarks/RESULTS.md, which takes minutes.

Nothing else should run on the machine meanwhile.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "cold_start.py",
    "sampling.py",
    "runtimes.py",
    "serving.py",
    "generate.py",
    "training.py",
)
HEAD = """# Benchmarks

`python benchmarks/write_results.py` wrote this page on a machine with {cores} CPU cores. Times and
rates are medians, and a ratio is the median of the ratios of all rounds.
"""


def section(script: Path) -> str:
    """Runs a benchmark and returns its description, its command and the table that it printed."""
    description = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, check=True)
    command = f"```sh\npython benchmarks/{script.name}\n```"
    return f"\n{description}\n\n{command}\n\n{done.stdout.decode()}"


if __name__ == "__main__":
    folder = Path(__file__).parent
    sections = [section(folder / script) for script in SCRIPTS]
    page = HEAD.format(cores=os.cpu_count()) + "".join(sections)
    (folder / "RESULTS.md").write_text(page, encoding="utf-8")
