"""Tests of training by recipe: the run directory, resuming, and refused arguments."""

import re
import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.conftest import FIXTURE
from zoo import evaluation, recipes, training
from zoo.catalog import DamagedFileError
from zoo.models import VAE
from zoo.training import timing, trainer
from zoo.training.schedules import Cycles


def shrunk(name):
    """Returns a recipe with a small model for 300 images and a few steps."""
    recipe = recipes.named(name)
    adversarial = recipe.family in ("GAN", "DCGAN")
    sizes = {"hidden": [8], "filters": [8, 4], "blocks": 1, "maxout": [[8, 2]], "latent_dim": 3}
    model = recipe.model | {key: size for key, size in sizes.items() if key in recipe.model}
    change = {"instance_noise": 0.1} if adversarial else {"importance_samples": 2}
    recipe = replace(
        recipe, cycles=[[2, 0.01, {}], [1, 0.002, change]], batch_size=100, model=model
    )
    if not adversarial:
        metrics = {name: recipe.metrics[name] for name in ("nll", "nll_decoded")}
        return replace(recipe, metrics=metrics)
    quick = {
        "parzen": {"samples": 100},
        "smallest_share": {},
        "largest_share": {},
        "nearest_neighbor": {"samples": 100},
        "nearest_neighbor_real": {},
    }
    metrics = {name: settings for name, settings in quick.items() if name in recipe.metrics}
    best = {"metric": recipe.best["metric"], "every": 1}
    return replace(
        recipe, split="train[:200]", validation="train[200:]", metrics=metrics, best=best
    )


SMALL = shrunk("cvae_mnist")


class Stop(keras.callbacks.Callback):
    """Interrupts a training after a number of steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= self.steps:
            raise KeyboardInterrupt


NIGHTLY = [
    pytest.param(name, marks=pytest.mark.nightly)
    for name in ("cdcgan_mnist", "cvae_mnist", "cvae_quadrant_mnist", "gan_mnist")
]


@pytest.mark.parametrize("name", ["vae_dense_mnist", *NIGHTLY])
def test_a_resumed_training_equals_an_uninterrupted_one(name, tmp_path, monkeypatch):
    recipe = shrunk(name)
    whole = training.train(recipe, tmp_path / "whole", data_dir=FIXTURE, verbose=0)
    real = keras.callbacks.TensorBoard
    monkeypatch.setattr(trainer, "STEPS_PER_EXECUTION", 1)
    monkeypatch.setattr(
        keras.callbacks, "TensorBoard", lambda *_, **__: Stop(2 if recipe.best else 3)
    )
    with pytest.raises(KeyboardInterrupt):
        training.train(recipe, tmp_path / "cut", data_dir=FIXTURE, verbose=0)
    monkeypatch.setattr(keras.callbacks, "TensorBoard", real)
    resumed = training.train(recipe, tmp_path / "cut", resume=True, data_dir=FIXTURE, verbose=0)
    for one, two in zip(whole.get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    assert [line["epoch"] for line in training.Run(tmp_path / "cut").history()] == [1, 2, 3]


def test_the_epochs_of_all_cycles_are_printed(tmp_path, capsys):
    recipe = replace(shrunk("vae_dense_mnist"), cycles=[[1, 0.01, {}], [2, 0.002, {}]])
    training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=2)
    assert re.findall(r"^Epoch (.*)$", capsys.readouterr().out, re.M) == ["1/3", "2/3", "3/3"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["cvae_mnist", "cdcgan_mnist"])
def test_an_extended_run_equals_one_that_had_the_cycle_from_the_start(name, tmp_path):
    recipe = shrunk(name)
    longer = training.extended(recipe, 5)
    assert longer.cycles == [*recipe.cycles, [2, *recipe.cycles[-1][1:]]]
    whole = training.train(longer, tmp_path / "whole", data_dir=FIXTURE, verbose=0)
    training.train(recipe, tmp_path / "run", data_dir=FIXTURE, verbose=0)
    run = training.Run(tmp_path / "run")
    first = run.history()
    extended = training.train(longer, tmp_path / "run", resume=True, data_dir=FIXTURE, verbose=0)
    assert run.history()[: len(first)] == first  # The first epochs are not trained again.
    assert [line["epoch"] for line in run.history()] == [1, 2, 3, 4, 5]
    assert run.read_recipe() == longer
    for one, two in zip(whole.get_weights(), extended.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    last = [
        keras.saving.load_model(tmp_path / run / "checkpoint.keras") for run in ("whole", "run")
    ]
    for optimizer in last[0].optimizers():
        one, two = (getattr(model, optimizer) for model in last)
        for before, after in zip(one.variables, two.variables):
            np.testing.assert_allclose(before, after, rtol=1e-3, atol=1e-5)


def test_an_extended_run_trains_at_the_last_rate(tmp_path, monkeypatch):
    """Checks that the schedule of the checkpoint, which ends at zero, is replaced."""
    recipe = replace(SMALL, cycles=[[1, 0.01, {}]])
    before = training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=0).get_weights()
    longer = training.extended(recipe, 2)
    after = training.train(longer, tmp_path, resume=True, data_dir=FIXTURE, verbose=0).get_weights()
    assert max(np.abs(one - two).max() for one, two in zip(before, after)) > 1e-3
    schedule = keras.saving.load_model(training.Run(tmp_path).checkpoint).optimizer.get_config()[
        "learning_rate"
    ]
    assert schedule["config"]["cycles"] == [[3, 0.01], [3, 0.01]]


def test_an_interrupted_extension_does_not_leave_the_shorter_model(tmp_path, monkeypatch):
    recipe = replace(SMALL, cycles=[[1, 0.01, {}]])
    training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=0)
    monkeypatch.setattr(trainer, "STEPS_PER_EXECUTION", 1)
    monkeypatch.setattr(keras.callbacks, "TensorBoard", lambda *_, **__: Stop(4))
    longer = training.extended(recipe, 3)
    with pytest.raises(KeyboardInterrupt):
        training.train(longer, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    with pytest.raises(FileNotFoundError, match="is not finished"):
        training.Run(tmp_path).trained_model()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"metrics": {"bogus": {}}}, "metrics has no metric 'bogus'"),
        ({"metrics": {"nll": {"samples": "x"}}}, "metrics.nll.samples must be an integer"),
        ({"cycles": [[1, 0.1, {"importance_samples": 0.5}]]}, "cycles must be arguments of CVAE"),
        (
            {"cycles": [[1, 0.1, {"nothing": 1}]]},
            "cycles must change only beta, importance_samples of CVAE; received: 'nothing'",
        ),
        (
            {"cycles": [[1, 0.1, {"latent_dim": 5}]]},
            "cycles must change only beta, .* 'latent_dim'",
        ),
        ({"model": {"beta": "x", "num_classes": 10}}, "model must be arguments of CVAE .beta"),
        ({"optimizer": "Adm"}, "optimizer must be an optimizer of Keras; received: 'Adm'"),
        ({"optimizer_arguments": {"beta": 1}}, "optimizer_arguments must be arguments of Muon"),
        ({"dataset": "mnst"}, "dataset must be a name of tensorflow-datasets"),
        ({"split": "trian"}, "split must be a split of mnist"),
        ({"batch_size": 301}, "batch_size must be at most 300"),
    ],
)
def test_an_error_in_a_recipe_is_found_before_training_and_names_the_field(
    change, sentence, tmp_path
):
    with pytest.raises(ValueError, match=sentence):
        training.train(replace(SMALL, **change), tmp_path / "run", data_dir=FIXTURE, verbose=0)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_that_is_resumed_stays_as_it_is(tmp_path):
    recipe = replace(SMALL, cycles=[[1, 0.01, {}]])
    first = training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=0)
    lines = training.Run(tmp_path).history()
    again = training.train(recipe, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    assert training.Run(tmp_path).history() == lines
    for one, two in zip(first.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch_size": 50}, "batch_size of the run in {} is 100; received: 50"),
        (
            {"model": SMALL.model | {"hidden": [9]}},
            r"model.hidden of the run in {} is \[8\]; received: \[9\]",
        ),
        (
            {"model": SMALL.model | {"beta": 2.0}},
            "model.beta of the run in {} is not set; received: 2.0",
        ),
        (
            {"cycles": [[1, 0.01, {}]]},
            r"cycles of the run in {} is \[\[2, 0.01, .*; received: \[\[1, 0.01, {{}}\]\]",
        ),
        ({"cycles": [[4, 0.01, {}]]}, r"cycles of the run in {} is "),
    ],
)
def test_a_run_is_not_resumed_with_another_setting_and_the_setting_is_named(
    tmp_path, change, sentence
):
    training.Run(tmp_path).write_recipe(SMALL)
    with pytest.raises(ValueError, match=sentence.format(tmp_path)):
        training.train(replace(SMALL, **change), tmp_path, resume=True, data_dir=FIXTURE, verbose=0)


def test_each_cycle_of_the_discriminator_has_its_own_number_of_updates():
    recipe = replace(
        shrunk("dcgan_mnist"), cycles=[[2, 0.01, {}], [1, 0.002, {"discriminator_steps": 4}]]
    )
    model = trainer.build(recipe, steps=10)
    for steps in (1, 4):  # The model of a checkpoint is in any of the cycles.
        model.discriminator_steps = steps
        schedules = trainer.schedules(recipe, model, steps=10)
        assert schedules["discriminator_optimizer"].cycles == [[20, 0.01], [40, 0.002]]
        assert schedules["generator_optimizer"].cycles == [[20, 0.01], [10, 0.002]]
        assert model.discriminator_steps == 1


def test_a_resumed_run_has_no_limit_of_the_time(tmp_path):
    training.Run(tmp_path).write_recipe(SMALL)
    limit = timing.Limit(1, time.monotonic())
    with pytest.raises(ValueError, match="limit must be None to resume a run"):
        training.train(SMALL, tmp_path, resume=True, limit=limit, data_dir=FIXTURE)


class TimeIsUp(keras.callbacks.Callback):
    """Ends a training after its first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_a_run_whose_time_is_up_before_the_first_measurement_keeps_its_weights(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(keras.callbacks, "TensorBoard", lambda *_, **__: TimeIsUp())
    recipe = shrunk("cdcgan_mnist")
    recipe = replace(recipe, best=recipe.best | {"every": 2}, cycles=[[3, 0.01, {}]])
    trained = training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=0)
    run = training.Run(tmp_path)
    assert not run.best.exists()
    assert run.read_recipe().epochs == 1
    last = keras.saving.load_model(run.checkpoint)
    for one, two in zip(trained.get_weights(), last.get_weights()):
        np.testing.assert_array_equal(one, two)


def test_a_run_is_extended_and_never_shortened():
    assert training.extended(SMALL, SMALL.epochs) == SMALL
    with pytest.raises(
        ValueError, match="epochs must be at least 3, those of the recipe; received: 2"
    ):
        training.extended(SMALL, 2)


def test_the_best_on_validation_images_is_kept(tmp_path, monkeypatch):
    values, measured = iter([5.0, 3.0, 4.0]), []

    def measure(metric, model, data, settings):
        measured.append((metric, data.names["test"]))
        return {"value": next(values)}

    monkeypatch.setattr(evaluation, "measure", measure)
    recipe, run = shrunk("cdcgan_mnist"), training.Run(tmp_path)
    trained = training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=0)
    assert measured == [("nearest_neighbor", "train[200:]")] * 3
    assert run.kept() == {"epoch": 2, "value": 3.0}
    kept, last = (keras.saving.load_model(path) for path in (run.best, run.checkpoint))
    assert (int(kept.optimizer.iterations), int(last.optimizer.iterations)) == (4, 6)
    for one, two in zip(trained.get_weights(), kept.get_weights()):
        np.testing.assert_array_equal(one, two)


def test_a_training_that_diverges_ends_and_keeps_the_weights_before_it(tmp_path):
    recipe = replace(shrunk("vae_dense_mnist"), cycles=[[1, 0.01, {}]])
    training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=0)
    checkpoint = training.Run(tmp_path).checkpoint
    before = checkpoint.read_bytes()
    # Muon's steps are as long as the learning rate.
    diverging = replace(recipe, cycles=[[1, 0.01, {}], [1, 1e30, {}]])
    training.Run(tmp_path).write_recipe(diverging)
    sentence = r"The training diverged: \w+ must be a finite number; received: (inf|nan) in epoch 2"
    with pytest.raises(FloatingPointError, match=sentence):
        training.train(diverging, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    assert checkpoint.read_bytes() == before
    assert [line["epoch"] for line in training.Run(tmp_path).history()] == [1]


def test_the_time_left_is_printed_after_each_epoch(tmp_path, capsys):
    recipe = replace(shrunk("vae_dense_mnist"), cycles=[[3, 0.01, {}]])
    training.train(recipe, tmp_path, data_dir=FIXTURE, verbose=2)
    assert re.findall(r"(.*) epochs? left, about \d+ s\n", capsys.readouterr().out) == ["1"]


def test_a_run_holds_what_it_is_and_loads_in_float32(tmp_path):
    model = training.train(SMALL, tmp_path, data_dir=FIXTURE, verbose=0)
    assert {path.name for path in tmp_path.iterdir()} == {
        "recipe.json",
        "checkpoint.keras",
        "model.keras",
        "history.jsonl",
        "logs",
        "samples",
    }
    run = training.Run(tmp_path)
    loaded = run.trained_model()
    assert run.read_recipe() == SMALL
    assert loaded.dtype_policy.name == "float32"
    assert keras.config.dtype_policy().name == "float32"
    np.testing.assert_array_equal(model.sample(3), loaded.sample(3))
    assert loaded.importance_samples == 1
    checkpoint = keras.saving.load_model(training.Run(tmp_path).checkpoint)
    assert int(checkpoint.optimizer.iterations) == 9
    assert all(line["seconds"] > 0 for line in training.Run(tmp_path).history())


def test_a_cycle_warms_up_and_falls_on_a_cosine():
    schedule = Cycles([[1000, 0.3], [100, 0.1]])
    ours = [float(schedule(step)) for step in (0, 10, 20, 200, 999, 1000, 1002, 1050, 1100)]
    first = keras.optimizers.schedules.CosineDecay(0.0, 980, warmup_target=0.3, warmup_steps=20)
    second = keras.optimizers.schedules.CosineDecay(0.0, 98, warmup_target=0.1, warmup_steps=2)
    expected = [float(first(step)) for step in (0, 10, 20, 200, 999)] + [
        float(second(step)) for step in (0, 2, 50, 100)
    ]
    np.testing.assert_allclose(ours, expected, atol=1e-7)
    assert Cycles.from_config(schedule.get_config()).cycles == schedule.cycles


def test_an_unknown_optimizer_is_answered_with_optimizers_alone():
    with pytest.raises(
        ValueError, match="an optimizer of Keras; received: 'qqq'; there are "
    ) as error:
        training.build(replace(SMALL, optimizer="qqq"), steps=3)
    listed = str(error.value).partition("there are ")[2].rstrip(".").split(", ")
    assert {"Adam", "Muon", "SGD"} <= set(listed)
    for name in listed:
        optimizer = getattr(keras.optimizers, name)(0.1)
        assert isinstance(optimizer, keras.Optimizer)


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run in .* start without --resume"):
        training.train(SMALL, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    training.train(replace(SMALL, cycles=[[1, 0.01, {}]]), tmp_path, data_dir=FIXTURE, verbose=0)
    with pytest.raises(FileExistsError, match="continue it with --resume"):
        training.train(SMALL, tmp_path, data_dir=FIXTURE, verbose=0)
    with pytest.raises(ValueError, match=r"cycles of the run in .* is \[\[1, 0.01"):
        training.train(SMALL, tmp_path, resume=True, data_dir=FIXTURE, verbose=0)
    run = training.Run(tmp_path)
    run.model.write_bytes(run.model.read_bytes()[:1000])
    with pytest.raises(DamagedFileError, match=r"model.keras cannot be loaded by Keras"):
        run.trained_model()
    run.recipe.write_text("{")
    with pytest.raises(DamagedFileError, match=r"recipe.json is not the recipe of a run"):
        run.read_recipe()
    with pytest.raises(
        FileNotFoundError, match="not finished: continue with `zoo train NAME --run-dir"
    ):
        training.Run(tmp_path / "nothing").trained_model()


def test_a_recipe_of_a_family_outside_the_zoo_is_trained(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Halved(VAE):
        """VAE with half the latent variables."""

    recipe = replace(SMALL, family="tests>Halved", model={"latent_dim": 2, "hidden": [4]})
    model = training.train(
        replace(recipe, cycles=[[1, 0.01, {}]]), tmp_path, data_dir=FIXTURE, verbose=0
    )
    assert isinstance(model, Halved)
    with pytest.raises(ValueError, match=r"family must be one of CVAE, .*; received: 'Nothing'"):
        training.build(replace(recipe, family="Nothing"), steps=3)
