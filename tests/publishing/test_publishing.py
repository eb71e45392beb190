"""Tests of publishing: a published model is exported and measured again."""

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest

import zoo
from tests import harness
from tests.conftest import FIXTURE
from zoo import catalog, evaluation, publishing
from zoo.evaluation.likelihood import decoded_likelihood

NAME = "vae_dense_mnist"


@pytest.fixture
def published(tmp_path, monkeypatch):
    shutil.copytree(catalog.directory(NAME), tmp_path / NAME)
    monkeypatch.setattr(catalog, "root", lambda: tmp_path)
    monkeypatch.setitem(
        evaluation.METRICS, "nll_decoded", partial(decoded_likelihood, split="test")
    )
    return tmp_path


def test_a_published_model_is_exported_anew_and_gets_what_its_card_lacks(published):
    path, before = published / NAME / "1" / "assets.extra" / "model_int8.tflite", zoo.info(NAME)
    path.write_bytes(b"old")
    metrics = [metric | {"value": 1.0} for metric in before.metrics if metric["name"] == "nll"]
    (published / NAME / catalog.CARD).write_text(replace(before, metrics=metrics).to_json())
    assert publishing.renew(NAME, published, FIXTURE) == published / NAME
    assert catalog.problems(NAME) == []
    assert [entry.name for entry in published.iterdir()] == [NAME]
    harness.check_full_integer(path)
    after = zoo.info(NAME)
    assert [metric["name"] for metric in after.metrics] == [
        "nll",
        "nll_decoded",
        "nll_decoded@litert-int8",
    ]
    assert after.metrics[0]["value"] == 1  # a value of the card is not measured again
    # Posterior samples and protocol are the same, so that the difference is the cost of int8.
    assert 0 < after.metrics[2]["value"] - after.metrics[1]["value"] < 6
    assert set(after.files) == set(before.files)
    for file in ("samples.png", "1/assets.extra/model.keras"):
        assert after.files[file] == before.files[file]


def test_a_model_of_another_recipe_is_left_alone(published):
    card = json.loads((published / NAME / catalog.CARD).read_text())
    card["recipe"]["batch_size"] = 7
    (published / NAME / catalog.CARD).write_text(json.dumps(card))
    with pytest.raises(
        ValueError, match=f"not of the recipe that {NAME} has today: train it again"
    ):
        publishing.renew(NAME, published, FIXTURE)
