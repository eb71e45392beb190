"""Tests of the way from a folder of pictures to a served model, by the command line."""

import base64
import json
import re
import shlex
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.conftest import ROOT
from tests.test_cli import ENVIRONMENT
from tests.test_examples import README, command_lines
from zoo import training

FAMILIES = [
    pytest.param(name, marks=() if name == "dcgan" else pytest.mark.nightly)
    for name in ("dcgan", "gan", "vae", "cvae", "realnvp", "glow")
]


def run(*arguments, cwd, status=0):
    command = [sys.executable, "-m", "zoo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT)
    assert done.returncode == status, done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder with 300 pictures of three classes in ``pictures``."""
    folder = tmp_path_factory.mktemp("newcomer")
    script = [sys.executable, ROOT / "examples" / "shapes.py", "pictures", "--number", "300"]
    subprocess.run(script, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_pictures_becomes_a_published_and_served_model(family, folder):
    training, sampling, publishing, _ = [
        shlex.split(line.replace("runs/pictures", f"runs/{family}"))[1:]
        for line in command_lines(README)
        if "pictures" in line
    ]
    training[1], publishing[-1] = family, f"models/{family}"
    training += ["--run-dir", f"runs/{family}", "--epochs", "1", "--size", "16"]
    done = run(*training, "--set", "steps_per_epoch=17", cwd=folder)
    assert "270 coloured images of 16x16 pixels for training" in done.stderr
    sheet = Image.open(folder / "runs" / family / "samples" / "epoch_0001.png")
    conditional = family != "vae"
    assert sheet.width == (3 if conditional else 10) * 18 + 2
    run(*sampling, *(["--labels", "triangles,circles"] if conditional else []), cwd=folder)
    run(*publishing, cwd=folder)
    card = zoo.info(str(folder / "models" / family))
    assert (card.class_names == ["circles", "squares", "triangles"]) == conditional
    assert card.image_shape == (16, 16, 3)
    with served(folder / "models" / family) as address:
        body = {"seed": 3} | ({"label": 1} if conditional else {})
        (images,) = predicted(address, family, [body])
        if card.signatures.get("score"):
            path = folder / "pictures" / "circles" / "000000.jpg"
            body = {"images": {"b64": base64.b64encode(path.read_bytes()).decode()}}
            body |= {"label": 0} if conditional else {}
            (score,) = predicted(address, family, [body], signature_name="score")
    model = zoo.load(folder / "models" / family)
    if card.signatures.get("score"):
        expected = model.score(path, *([0] if conditional else []))
        np.testing.assert_allclose([score], expected, rtol=1e-4)
    expected = model.sample(1, *([1] if conditional else []), seed=3)[0]
    np.testing.assert_allclose(images, expected, atol=1e-5)


class served:
    """``zoo serve`` of a folder in another process."""

    def __init__(self, path):
        command = [sys.executable, "-m", "zoo", "serve", str(path), "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT
        )

    def __enter__(self):
        for line in self.process.stdout:
            if found := re.search(r"http://[\d.:]+", line):
                return found[0].replace("0.0.0.0", "127.0.0.1")
        raise AssertionError("The server has not started.")

    def __exit__(self, *error):
        self.process.terminate()
        self.process.communicate()


def predicted(address, name, instances, **settings):
    body = json.dumps({"instances": instances} | settings).encode()
    request = urllib.request.Request(f"{address}/v1/models/{name}:predict", body)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


def test_a_recipe_continues_from_the_weights_of_a_model_on_other_pictures(folder):
    done = run(
        *("train", "vae_mnist", "--data", "pictures", "--from", "vae_mnist", "--epochs", "1"),
        *("--set", "batch_size=50", "--run-dir", "runs/from"),
        cwd=folder,
    )
    assert "270 grey images of 28x28 pixels" in done.stderr
    recipe = training.Run(folder / "runs/from").read_recipe()
    assert recipe.pictures["image_size"] == [28, 28]
    wrong = run(
        *("train", "vae", "--data", "pictures", "--from", "vae_mnist", "--run-dir", "runs/other"),
        cwd=folder,
        status=2,
    )
    assert "from must be a VAE with the networks of the recipe" in wrong.stderr
    assert not (folder / "runs/other").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["dcgan"], 2, "--data must name the pictures of a family of models"),
        (["vae_mnist", "--size", "16"], 2, "--data must name the pictures"),
        (["dcgan", "--data", "nowhere"], 1, "There is no folder nowhere"),
        (["dcgan", "--data", "few"], 2, "at least 20 pictures for training"),
        (["cvae", "--data", "pictures/circles"], 2, "sub-folders of at least 2 classes"),
        (["dcgan", "--data", "pictures", "--minutes", "1", "--epochs", "2"], 2, "--minutes must"),
        (["dcgan", "--data", "tfds:minst"], 2, "name of tensorflow-datasets"),
    ],
)
def test_wrong_pictures_are_one_sentence(arguments, status, sentence, folder):
    (folder / "few").mkdir(exist_ok=True)
    for i in range(2):
        Image.fromarray(np.full((32, 32, 3), i, "uint8")).save(folder / "few" / f"{i}.png")
    done = run("train", *arguments, cwd=folder, status=status)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
