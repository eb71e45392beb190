"""Tests of the package: imports, dependencies, and installation."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import zoo
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
NAME = zoo.list_models()[0]
LIGHT = {"ai_edge_litert", "click", "numpy", "PIL"}


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_neither_tensorflow_nor_numpy():
    run(
        "import sys, zoo; "
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )


def test_import_is_fast():
    times = [
        float(
            run("import time; t = time.perf_counter(); import zoo; print(time.perf_counter() - t)")
        )
        for _ in range(5)
    ]
    # The others waited for other processes.
    assert min(times) < 0.1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Returns a Keras file of a small model as in a run, and the first sample of the model."""
    import keras

    from zoo.training.schedules import Cycles

    path = tmp_path_factory.mktemp("saved") / "x.keras"
    model = zoo.models.CVAE(latent_dim=3, hidden=(8,), num_classes=10)
    model.compile(keras.optimizers.Adam(Cycles([[10, 0.1]])))
    model.save(path)
    return path, model.sample(1)[0]


LOADING = """
import numpy as np
model = keras.saving.load_model(sys.argv[1])
assert type(model) is zoo.models.CVAE
np.testing.assert_allclose(model.sample(1)[0], np.load(sys.argv[2]), atol=1e-6)
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("zoo")]
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import zoo, keras",
        *(
            pytest.param(imports, marks=pytest.mark.nightly)
            for imports in (
                "import keras, zoo",
                "import zoo, importlib; importlib.reload(zoo); "
                "from keras import saving; import keras",
                "import zoo; from keras.src.saving import saving_api; import keras",
                "import zoo, tensorflow\nclass keras: saving = tensorflow.keras.models",
                "import zoo, threading\n"
                "def other(): import keras\n"
                "threads = [threading.Thread(target=other) for _ in range(4)]\n"
                "for thread in threads: thread.start()\n"
                "import zoo.models\n"
                "for thread in threads: thread.join()\n"
                "import keras",
            )
        ),
    ],
)
def test_keras_loads_a_model_of_the_zoo_in_a_process_that_imports_both(imports, saved, tmp_path):
    path, image = saved
    np.save(tmp_path / "image.npy", image)
    run(f"import sys\n{imports}\n{LOADING}", path, tmp_path / "image.npy")


HOOK = """
import importlib, importlib.util, sys
before = list(sys.meta_path)
import zoo
importlib.reload(zoo)
(hook,) = [finder for finder in sys.meta_path if finder not in before]
# A search for Keras that is not followed by its import.
assert importlib.util.find_spec("keras").origin.endswith("__init__.py")
for name in ("keras.saving", "json.tool", "no_such_module"):
    assert hook.find_spec(name) is None
assert hook in sys.meta_path
assert not {"keras", "tensorflow", "numpy"} & set(sys.modules)
"""


def test_until_keras_is_imported_one_hook_waits_for_it_and_leaves_other_imports_alone():
    run(HOOK)


def test_without_keras_it_is_reported_missing_as_ever():
    code = "import sys; sys.path.append({!r}); import zoo; print(zoo.list_models()[0])\n"
    code += "try: import keras\n"
    code += "except ModuleNotFoundError as error: print(error)"
    command = [sys.executable, "-I", "-S", "-c", code.format(str(ROOT))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [NAME, "No module named 'keras'"]


@pytest.mark.nightly
def test_keras_on_another_backend_is_not_made_to_import_tensorflow_classes():
    run(
        "import sys, keras; keras.config.backend = lambda: 'jax'; "
        "import zoo; assert 'zoo.models' not in sys.modules"
    )


DRAWING = """
import sys
before = {name.partition(".")[0] for name in sys.modules}
from zoo.cli import main
try: main(["sample", "cvae_mnist", "-o", sys.argv[1]])
except SystemExit as done: assert not done.code
print(*{name.partition(".")[0] for name in sys.modules} - before - sys.stdlib_module_names)
"""


def test_sampling_on_litert_imports_four_packages(tmp_path):
    assert set(run(DRAWING, tmp_path / "digits.png").split("\n")[1].split()) == {"zoo", *LIGHT}
    assert (tmp_path / "digits.png").exists()


def test_a_saved_model_is_loaded_without_a_class_of_ours():
    """Prevents the import of zoo.models, which Keras would bring with TensorFlow's loader."""
    run(
        "import sys, zoo; sys.modules['zoo.models'] = None; "
        f"zoo.load({NAME!r}, 'saved_model').sample(2)"
    )


LACKING = """
import sys
missing = ["tensorflow", "keras", "tensorflow_datasets", "kserve", "apache_beam"]
sys.modules |= dict.fromkeys(missing)
"""
SENTENCE = (
    "This needs {}, which is not installed. Install all packages by 'pip install .{}' in zoo's "
    "repository."
)


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["train", "vae_mnist"], "keras"),
        (["evaluate", NAME], "keras"),
        (["export", NAME, "--format", "tflite", "-o", "x.tflite"], "keras"),
        (["sample", NAME, "--runtime", "keras"], "keras"),
        (["sample", NAME, "--runtime", "saved_model"], "tensorflow"),
        (["serve", NAME], "kserve"),
        (["generate", NAME, "-n", "1", "-o", "x"], "apache_beam"),
    ],
)
def test_without_the_whole_stack_a_command_says_how_to_install_it(arguments, package, tmp_path):
    extras = {"kserve": "[serve]", "apache_beam": "[beam]"}
    sentence = SENTENCE.format(package, extras.get(package, ""))
    code = (
        LACKING
        + f"import os; os.chdir({str(tmp_path)!r}); from zoo.cli import main; main({arguments})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"zoo: {sentence}\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("call", [f"zoo.load({NAME!r})", "zoo.models", "zoo.data"])
def test_without_the_whole_stack_python_says_how_to_install_it(call):
    code = LACKING + f"import zoo\ntry: {call}\nexcept ModuleNotFoundError as error: print(error)"
    package = "tensorflow" if call == "zoo.data" else "keras"
    assert run(code) == f"{SENTENCE.format(package, '')}\n"


def test_dir_lists_what_the_package_offers():
    assert {*zoo.__all__, "__version__"} <= set(dir(zoo))
    run(
        "import sys, zoo; assert {'models', 'data'} <= set(dir(zoo)); "
        "assert 'keras' not in sys.modules"
    )


def test_the_wheels_metadata_says_who_and_for_what(tmp_path):
    code = (
        "import setuptools.build_meta as meta, sys; "
        "meta.prepare_metadata_for_build_wheel(sys.argv[1])"
    )
    source = tmp_path / "source"
    shutil.copytree(ROOT / "zoo", source / "zoo", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "saved_models").mkdir()
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=source, capture_output=True, check=True
    )
    metadata = importlib.metadata.PathDistribution(next(tmp_path.glob("*.dist-info"))).metadata
    assert (metadata["Name"], metadata["Version"], metadata["Author"]) == (
        "zoo",
        zoo.__version__,
        "The zoo authors",
    )
    assert {"keras", "tensorflow", "gan", "vae"} <= set(metadata["Keywords"].split(","))
    classifiers = set(metadata.get_all("Classifier"))
    for minor in (11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert "Topic :: Scientific/Engineering :: Artificial Intelligence" in classifiers


@pytest.mark.nightly
def test_the_light_install_of_the_readme(tmp_path):
    """Runs the command line of the README in a clean environment, and then zoo's commands."""
    (line,) = [
        line
        for line in README.splitlines()
        if line.startswith("pip install") and "--no-deps" in line
    ]
    packages = {
        package.replace("-", "_")
        for package in line.partition(" && ")[0].removeprefix("pip install ").split()
    }
    assert packages == {name.replace("PIL", "pillow") for name in LIGHT}
    source, target = tmp_path / "source", tmp_path / "environment"
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns(".*", "build", "runs", "*.egg-info", "__pycache__", "tests"),
    )
    subprocess.run([sys.executable, "-m", "venv", target], check=True)
    environment = os.environ | {"PATH": f"{target / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    def light(command, cwd=tmp_path, status=0):
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, cwd=cwd, env=environment
        )
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    light(line, cwd=source)
    assert light("zoo list").split() == zoo.list_models()
    assert light("zoo info cvae_mnist --json") == zoo.info("cvae_mnist").to_json()
    assert "all files match their cards" in light("zoo verify")
    light("zoo sample cvae_mnist -o digits.png")
    assert (tmp_path / "digits.png").stat().st_size > 1000
    assert (
        light("zoo sample cvae_mnist --runtime keras", status=1)
        == f"zoo: {SENTENCE.format('keras', '')}\n"
    )
    assert light("zoo train cvae_mnist", status=1) == f"zoo: {SENTENCE.format('keras', '')}\n"
    assert light("python -c 'import zoo; zoo.load(\"cvae_mnist\")'", status=1).endswith(
        f"{SENTENCE.format('keras', '')}\n"
    )
    drawn = light(
        'python -c \'import zoo; print(zoo.load("cvae_mnist", "litert").sample(3, seed=2).sum())\''
    )
    assert float(drawn) == pytest.approx(
        float(zoo.load("cvae_mnist", "litert").sample(3, seed=2).sum()), abs=1e-2
    )


@pytest.mark.nightly
@pytest.mark.parametrize("module", ["models", "data"])
def test_submodules_come_when_they_are_asked_for(module):
    run(f"import zoo; zoo.{module}")


def test_a_picture_comes_sooner_than_tensorflow(tmp_path):
    def seconds(*arguments):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=ROOT)
        return time.perf_counter() - start

    picture = min(
        seconds("-m", "zoo", "sample", "cvae_mnist", "-o", str(tmp_path / "digits.png"))
        for _ in range(3)
    )
    assert picture < min(seconds("-c", "import tensorflow") for _ in range(2)) / 5
