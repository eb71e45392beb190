"""Tests of the recipes for pictures at every size, grey and in colour."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests import harness
from zoo import recipes
from zoo.training import trainer

SIZES, CHANNELS = (32, 64, 96, 128), (1, 3)
# The others are nightly.
DEFAULT = {("dcgan", 32, 3)}
CASES = [
    pytest.param(*case, marks=() if case in DEFAULT else pytest.mark.nightly)
    for case in itertools.product(recipes.FAMILIES, SIZES, CHANNELS)
]


def narrow(settings):
    """Returns the settings of the widths of networks, with 8 in place of each."""
    widths = {name: settings[name] for name in ("filters", "hidden") if name in settings}
    return {name: [8] * len(old) if isinstance(old, list) else 8 for name, old in widths.items()}


@pytest.fixture
def pictures(tmp_path):
    """Returns a function that writes 24 pictures of two classes and returns their folder."""

    def write(height, width, channels):
        rng = np.random.default_rng(0)
        for i in range(24):
            folder = tmp_path / "pictures" / ("cats", "dogs")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
            Image.fromarray(pixels.squeeze()).save(folder / f"{i}.png")
        return tmp_path / "pictures"

    return write


def built(family, folder, **options):
    """Returns the default model of a family for a folder, with narrow networks, and its images."""
    recipe, _ = recipes.on_pictures(family, str(folder), **options)
    recipe = replace(recipe, model=recipe.model | narrow(recipe.model))
    return trainer.build(recipe, 3), recipe.images("train")


@pytest.mark.parametrize(("family", "size", "channels"), CASES)
def test_every_family_trains_and_is_exported_at_every_size(
    family, size, channels, pictures, tmp_path
):
    model, source = built(family, pictures(size, size, channels))
    assert model.image_shape == (size, size, channels)
    model.adapt(source)
    before = model.get_weights()
    history = model.fit(source, batch_size=7, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert any((old != new).any() for old, new in zip(before, model.get_weights()))
    images, labels = source.first(10)
    labels = np.arange(10, dtype=np.int32) % 2 if labels is None else labels
    harness.check_runtimes(model, images, labels, tmp_path)


@pytest.mark.parametrize("family", recipes.FAMILIES)
@pytest.mark.parametrize(
    ("pictured", "shape"),
    [((64, 100), (64, 100)), ((60, 90), (32, 32)), ((75, 100), (64, 64)), ((25, 25), (32, 32))],
)
def test_default_networks_fit_pictures_of_any_size(family, pictured, shape, pictures):
    model, _ = built(family, pictures(*pictured, 3))
    assert model.image_shape == (*shape, 3)


@pytest.mark.parametrize("family", ["gan", "dcgan", "vae", "cvae"])
def test_networks_for_odd_sizes(family, pictures):
    model, source = built(family, pictures(30, 30, 1), size=25)
    assert model.image_shape == source.image_shape == (25, 25, 1)


@pytest.mark.parametrize("family", ["realnvp", "glow"])
def test_a_flow_of_an_odd_size_is_one_sentence(family, pictures):
    with pytest.raises(ValueError, match="must be even for a flow; received: 25 and 25"):
        built(family, pictures(30, 30, 1), size=25)
