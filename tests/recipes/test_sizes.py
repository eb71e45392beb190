"""Tests of the recipes for pictures at every size, grey and in colour."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests import harness
from zoo import recipes
from zoo.data import MemorySource
from zoo.training import trainer

SIZES, CHANNELS = (32, 64, 96, 128), (1, 3)
# The others are nightly.
DEFAULT = {("dcgan", 32, 3), ("vae", 32, 3)}
CASES = [
    pytest.param(*case, marks=() if case in DEFAULT else pytest.mark.nightly)
    for case in itertools.product(recipes.FAMILIES, SIZES, CHANNELS)
]


def narrow(settings):
    """Returns the settings of the widths of networks, with 8 in place of each."""
    widths = {name: settings[name] for name in ("filters", "hidden") if name in settings}
    return {name: [8] * len(old) if isinstance(old, list) else 8 for name, old in widths.items()}


@pytest.mark.parametrize(("family", "size", "channels"), CASES)
def test_every_family_trains_and_is_exported_at_every_size(family, size, channels, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(24, size, size, channels)).astype(np.float32)
    labels = (np.arange(24) % 2).astype(np.int32)
    source = MemorySource(images, labels, ("cats", "dogs"))
    splits = dict.fromkeys(("train", "validation", "test"), "train")
    recipe = recipes.of_family(family, "folder:none", {}, source, splits)
    model = trainer.build(replace(recipe, model=recipe.model | narrow(recipe.model)), 3)
    model.adapt(source)
    before = model.get_weights()
    history = model.fit(source, batch_size=8, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert any((old != new).any() for old, new in zip(before, model.get_weights()))
    harness.check_runtimes(model, images[:10], labels[:10], tmp_path)
