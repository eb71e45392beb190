"""Tests of picture files in place of arrays of images."""

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.utils import image_files


@pytest.fixture
def paths(tmp_path, digits):
    """Returns paths of files that hold the first three digits."""
    found = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(found, digits[0]):
        Image.fromarray(np.uint8(np.round(image[..., 0] * 255))).save(path)
    return found


@pytest.mark.parametrize("runtime", ["keras", "litert"])
def test_paths_give_what_the_images_give(paths, digits, runtime):
    model, images = zoo.load("vae_mnist", runtime), digits[0][:3]
    for given in (paths, [str(path) for path in paths]):
        np.testing.assert_allclose(model.encode(given), model.encode(images), atol=1e-6)
    np.testing.assert_allclose(model.score(paths[1]), model.score(images[1:2]), rtol=1e-6)
    np.testing.assert_allclose(model.score(str(paths[1])), model.score(images[1:2]), rtol=1e-6)
    one = model.interpolate(paths[0], paths[1], steps=3)
    np.testing.assert_allclose(one, model.interpolate(*images[:2], steps=3), atol=1e-5)
    many = model.interpolate(paths[:2], paths[1:], steps=3)
    np.testing.assert_allclose(many[0], one, atol=1e-5)


def test_a_path_that_is_no_picture_is_one_sentence(tmp_path):
    model = zoo.load("vae_mnist", "litert")
    with pytest.raises(FileNotFoundError, match="nothing"):
        model.encode(tmp_path / "nothing.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="must be a picture that Pillow can read"):
        model.encode([broken])


def test_pictures_are_padded_where_those_of_the_training_were(tmp_path):
    wide = Image.new("L", (56, 28), 255)
    wide.save(tmp_path / "wide.png")
    model = zoo.load("vae_mnist", "litert")
    cropped = np.ones((1, 28, 28, 1), np.float32)
    np.testing.assert_allclose(model.score(tmp_path / "wide.png"), model.score(cropped), rtol=1e-6)
    model.picture_fit = image_files.Fit.of_settings((28, 28, 1), {"pad_to_aspect_ratio": True})
    padded = cropped.copy()
    padded[:, :7] = padded[:, 21:] = 0
    np.testing.assert_allclose(model.score(tmp_path / "wide.png"), model.score(padded), rtol=1e-6)
