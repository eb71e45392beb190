"""Training by recipe: the run directory, resuming, and the door."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.conftest import FIXTURE
from zoo import recipes, training
from zoo.catalog import DamagedFileError

BASE = recipes.RECIPES["cvae_mnist"]
SMALL = replace(
    BASE,
    cycles=[[2, 0.01, {}], [1, 0.002, {"importance_samples": 2}]],
    batch_size=100,
    model=BASE.model | {"filters": [4], "hidden": [8], "latent_dim": 3},
)


class Stop(keras.callbacks.Callback):
    """What a power cut in the second epoch leaves behind."""

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["cvae_mnist", "cvae_quadrant_mnist", "vae_dense_mnist"])
def test_a_resumed_training_equals_an_uninterrupted_one(name, tmp_path, monkeypatch):
    base = recipes.RECIPES[name]
    model = base.model | {"hidden": [8], "latent_dim": 3} | ({"filters": [4]} if "filters" in base.model else {})
    recipe = replace(base, cycles=[[2, 0.01, {}], [1, 0.002, {"importance_samples": 2}]], batch_size=100, model=model)
    whole = training.train(recipe, tmp_path / "whole", data_dir=FIXTURE, verbose=0)
    real = keras.callbacks.TensorBoard
    monkeypatch.setattr(training, "STEPS_PER_EXECUTION", 1)
    monkeypatch.setattr(keras.callbacks, "TensorBoard", lambda *_, **__: Stop())
    with pytest.raises(KeyboardInterrupt):
        training.train(recipe, tmp_path / "cut", data_dir=FIXTURE, verbose=0)
    monkeypatch.setattr(keras.callbacks, "TensorBoard", real)
    resumed = training.train(recipe, tmp_path / "cut", resume=True, data_dir=FIXTURE, verbose=0)
    for one, two in zip(whole.get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    lines = (tmp_path / "cut" / training.HISTORY).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


def test_a_run_holds_what_it_is_and_loads_in_float32(tmp_path):
    model = training.train(SMALL, tmp_path, data_dir=FIXTURE, verbose=0)
    assert {path.name for path in tmp_path.iterdir()} == {
        training.RECIPE, training.CHECKPOINT, training.MODEL, training.HISTORY, "logs",
    }  # fmt: skip
    recipe, loaded = training.load(tmp_path)
    assert recipe == SMALL
    assert loaded.dtype_policy.name == "float32"
    assert keras.config.dtype_policy().name == "float32"
    np.testing.assert_array_equal(model.sample(3), loaded.sample(3))
    assert loaded.importance_samples == 1
    checkpoint = keras.saving.load_model(tmp_path / training.CHECKPOINT)
    assert int(checkpoint.optimizer.iterations) == 9
    assert training.seconds(tmp_path) > 0


def test_a_cycle_warms_up_and_falls_on_a_cosine():
    schedule = training.Cycles([[1000, 0.3], [100, 0.1]])
    ours = [float(schedule(step)) for step in (0, 10, 20, 200, 999, 1000, 1002, 1050, 1100)]
    first = keras.optimizers.schedules.CosineDecay(0.0, 980, warmup_target=0.3, warmup_steps=20)
    second = keras.optimizers.schedules.CosineDecay(0.0, 98, warmup_target=0.1, warmup_steps=2)
    expected = [float(first(step)) for step in (0, 10, 20, 200, 999)] + [float(second(step)) for step in (0, 2, 50, 100)]
    np.testing.assert_allclose(ours, expected, atol=1e-7)
    assert training.Cycles.from_config(schedule.get_config()).cycles == schedule.cycles


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run in .* start without --resume"):
        training.train(SMALL, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    training.train(replace(SMALL, cycles=[[1, 0.01, {}]]), tmp_path, data_dir=FIXTURE, verbose=0)
    with pytest.raises(FileExistsError, match="go on with --resume"):
        training.train(SMALL, tmp_path, data_dir=FIXTURE, verbose=0)
    with pytest.raises(ValueError, match="another recipe or of other settings"):
        training.train(SMALL, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    (tmp_path / training.MODEL).write_bytes((tmp_path / training.MODEL).read_bytes()[:1000])
    with pytest.raises(DamagedFileError, match=r"model.keras is not a model that Keras can load"):
        training.load(tmp_path)
    (tmp_path / training.RECIPE).write_text("{")
    with pytest.raises(DamagedFileError, match=r"recipe.json is not the recipe of a run"):
        training.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="finish the training with --resume"):
        training.load(tmp_path / "nothing")


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_builds_its_model(name):
    recipe = recipes.named(name)
    assert recipes.from_json(json.loads(json.dumps(recipe.__dict__))) == recipe
    model = training.build(recipe, steps=100)
    assert model.latent_dim == recipe.model["latent_dim"]
    assert set(recipe.anchors) <= set(recipe.metrics)
    for anchor in recipe.anchors.values():
        assert anchor["mark"] in "ABM"
