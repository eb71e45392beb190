"""Tests of the rules of the repository that can be checked by a program."""

import ast
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT

# Each layer may import the layers after it, at any place in a file. A package and its modules are
# one layer.
LAYERS = [
    "zoo.__main__",
    "zoo.cli",
    "zoo",  # The functions of zoo/__init__.py import what they need when they are called.
    "zoo.serving",
    "zoo.generate",
    "zoo.reproduce",
    "zoo.loading",
    "zoo.training",
    "zoo.publishing",
    "zoo.evaluation",
    "zoo.export",
    "zoo.models",
    "zoo.recipes",
    "zoo.data",
    "zoo.inference",
    "zoo.catalog",
    "zoo.artifact",
    "zoo.utils",
]
# The registration of the classes in Keras files follows the import of Keras.
EXCEPTIONS = {
    ("zoo.utils.keras_registration", "zoo.models"),
    ("zoo.utils.keras_registration", "zoo.training.schedules"),
}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted((ROOT / "zoo").rglob("*.py"))}


def layer_of(module):
    return module if module in LAYERS else ".".join(module.split(".")[:2])


def imports(module):
    """Yields the modules of zoo that a module imports, at its top and in its functions."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "zoo":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            yield from (name for name in MODULES if repr(name) == ast.unparse(node.args[0]))


def test_every_module_is_in_a_layer():
    assert {layer_of(module) for module in MODULES} == set(LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    for imported in imports(module):
        if (module, imported) not in EXCEPTIONS and imported != "zoo":
            above, below = (LAYERS.index(layer_of(one)) for one in (module, imported))
            assert above <= below, f"{module} imports {imported}"


def test_modules_of_one_layer_import_each_other_without_a_circle():
    needed = {
        module: {
            other
            for other in imports(module)
            if other != module and layer_of(other) == layer_of(module) and other not in LAYERS
        }
        for module in MODULES
    }
    while needed:
        free = {module for module, others in needed.items() if not others & set(needed)}
        assert free, f"These import each other in a circle: {sorted(needed)}"
        needed = {module: others for module, others in needed.items() if module not in free}


def python_files():
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("This is not a git repository.")
    return [ROOT / path for path in listed.stdout.split()]


def test_docstrings_follow_the_google_convention_and_lines_have_at_most_100_columns():
    """Checks by ruff, whose rules must not be switched off in a file."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert {"D", "E"} <= set(settings["select"])
    assert settings["pydocstyle"]["convention"] == "google"
    assert settings["pycodestyle"]["max-line-length"] == 100
    assert set(settings["ignore"]) & {"E", "E501", "D", "D1", "D100", "D101", "D205"} == set()
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for path in python_files():
        text = path.read_text()
        for mark in ("fmt: " + "skip", "fmt: " + "off", "noqa: D", "noqa: E501", "ruff: " + "noqa"):
            assert mark not in text or path.name == "test_repository.py", f"{mark} in {path}"


# Functions that may be longer than 40 lines, because most of their lines are the signature and the
# call of the parent's constructor: layers, model and configuration are visible in one place.
LONG = {"DCGAN.__init__", "GAN.__init__", "VAE.__init__", "VariationalModel.__init__"}


def functions(path):
    """Yields (name, number of lines without the docstring) of each function of a file."""

    def below(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                yield from below(child, f"{prefix}{child.name}.")
            else:
                yield from below(child, prefix)
            if isinstance(child, ast.FunctionDef):
                lines = child.end_lineno - child.lineno + 1
                if ast.get_docstring(child):
                    docstring = child.body[0]
                    lines -= docstring.end_lineno - docstring.lineno + 1
                yield f"{prefix}{child.name}", lines

    yield from below(ast.parse(path.read_text()), "")


def test_functions_have_at_most_40_lines():
    found = {
        name: lines
        for module in MODULES
        for name, lines in functions(MODULES[module])
        if lines > 40 and name not in LONG
    }
    assert found == {}
