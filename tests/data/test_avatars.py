"""Tests of the drawn faces: the same pixels everywhere, their attributes, and the data source."""

import hashlib
import sys

import numpy as np
import pytest

from zoo import data
from zoo.data import avatars
from zoo.recipes import avatars as recipes

# SHA-256 sums of the pixels of the seeds 0 and 59999.
SUMS = {
    "lorelei": (
        "15b6c899b1d6da9dc7cde0b634ce0663a8477bb2c4aafb5f054d62a3eccbd055",
        "f68c44f1cefc492d10cb6ac2163c445d466170311be9e7df15f7af06a3b64068",
    ),
    "pixel_art": (
        "0d771d79bc6ccc24fe9410eb654fce311d2c97570cc4a8c6964f1e56893a8710",
        "deddc72b638346d292fd579023b732cedd81b24ca34c6a46dbb0b8a543400e91",
    ),
}


def rgb(color):
    return tuple(bytes.fromhex(color.removeprefix("#")))


@pytest.fixture(scope="module", params=avatars.STYLES)
def faces(request):
    return avatars.Faces(request.param)


@pytest.mark.parametrize("style", avatars.STYLES)
def test_the_pixels_of_a_seed_are_the_same_on_every_machine(style):
    faces = avatars.Faces(style)
    for seed, expected in zip((0, 59_999), SUMS[style]):
        image = faces.draw(seed)["image"]
        assert image.dtype == np.uint8
        assert hashlib.sha256(image.tobytes()).hexdigest() == expected


def test_a_face_is_in_colour_on_an_opaque_background(faces):
    size = faces.style.size
    for seed in range(20):
        face = faces.draw(seed)
        image = face["image"]
        assert image.shape == (size, size, 3)
        assert tuple(image[0, 0]) in map(rgb, avatars.BACKGROUNDS)


def test_the_colours_of_a_face_are_those_of_its_attributes(faces, monkeypatch):
    """A face that is drawn again with the colours of its attributes alone has the same pixels."""
    options = faces._options
    for seed in range(10):
        face = faces.draw(seed)
        for name, option, colors in (
            ("skin", "skinColor", avatars.SKINS),
            ("hair_color", "hairColor", avatars.HAIR_COLORS),
        ):
            for value, color in colors.items():
                monkeypatch.setattr(faces, "_options", options | {option: [color]})
                same = np.array_equal(faces.draw(seed)["image"], face["image"])
                assert same == (value == face[name])
        monkeypatch.setattr(faces, "_options", options)


def test_each_value_of_an_attribute_is_drawn_as_often_as_it_should(faces):
    drawn = [faces.draw(seed) for seed in range(100)]
    for name, values in avatars.ATTRIBUTES.items():
        counts = np.array([sum(face[name] == value for face in drawn) for value in values])
        assert counts.sum() == 100
        # Six standard deviations of a binomial distribution.
        p = 1 / len(values)
        assert np.abs(counts - 100 * p).max() <= 6 * np.sqrt(100 * p * (1 - p))


def test_glasses_change_the_eyes_alone(faces, monkeypatch):
    """The same face without glasses differs from it in the middle of the image only."""
    seed = next(seed for seed in range(100) if faces.draw(seed)["glasses"] == "1")
    with_glasses = faces.draw(seed)
    monkeypatch.setattr(faces, "_options", faces._options | {"glassesProbability": 0})
    without = faces.draw(seed)
    assert without["glasses"] == "0"
    rows, _ = np.nonzero((with_glasses["image"] != without["image"]).any(axis=-1))
    assert len(rows)
    size = faces.style.size
    assert size / 4 <= rows.min() <= rows.max() < 0.75 * size


def test_recipes_have_the_attributes_of_the_data_set():
    assert recipes.ATTRIBUTES == avatars.ATTRIBUTES
    assert list(recipes.ATTRIBUTES) == list(avatars.ATTRIBUTES)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Returns a folder of a data set of 24 faces, which its first use builds."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        seeds = {"train": range(12), "validation": range(12, 18), "test": range(18, 24)}
        patch.setattr(avatars, "SEEDS", seeds)
        data.tfds("avatars/pixel_art", "train", str(folder))
    return str(folder)


def test_the_first_use_builds_the_data_set_in_the_order_of_the_seeds(small):
    faces = avatars.Faces("pixel_art")
    for split, first, n in (("train", 0, 12), ("validation", 12, 6), ("test", 18, 6)):
        source = data.tfds("avatars/pixel_art", split, small)
        images, none = source.first()
        assert none is None
        assert (source.classes, source.attributes) == (None, None)
        expected = [faces.draw(seed)["image"] for seed in range(first, first + n)]
        np.testing.assert_array_equal(np.round(images * 255), expected)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_feature_is_the_label_and_several_are_attributes(small, in_memory):
    faces = [avatars.Faces("pixel_art").draw(seed) for seed in range(12)]
    names = ["skin", "glasses"]
    source = data.tfds("avatars/pixel_art", "train", small, labels=names, in_memory=in_memory)
    assert source.attributes == {name: tuple(avatars.ATTRIBUTES[name]) for name in names}
    assert list(source.attributes) == names
    assert source.classes is None
    expected = [[avatars.ATTRIBUTES[name].index(face[name]) for name in names] for face in faces]
    _, values = source.first()
    assert values.dtype == np.int32
    np.testing.assert_array_equal(values, expected)
    (batch,) = source.batches(12).take(1)
    np.testing.assert_array_equal(batch[1], expected)
    source = data.tfds("avatars/pixel_art", "train", small, labels="hair", in_memory=in_memory)
    assert source.classes == ("short", "long")
    assert [source.classes[label] for label in source.first()[1]] == [
        face["hair"] for face in faces
    ]


def test_wrong_labels_are_one_sentence_with_the_nearest_name(small):
    with pytest.raises(ValueError, match="received: 'glases'; the nearest is 'glasses'"):
        data.tfds("avatars/pixel_art", "train", small, labels=["glases", "hair"])
    with pytest.raises(ValueError, match="the nearest is 'skin'"):
        data.tfds("avatars/pixel_art", "train", small, labels="skins")
    with pytest.raises(ValueError, match=r"^labels must be 'inferred', None.* received: 5; the"):
        data.tfds("avatars/pixel_art", "train", small, labels=5)
    for labels in ([], ["hair", "hair"]):
        with pytest.raises(ValueError, match=r"^labels must be different features .*received: \["):
            data.tfds("avatars/pixel_art", "train", small, labels=labels)
    assert data.attribute_names("avatars/pixel_art", small) == sorted(avatars.ATTRIBUTES)


@pytest.mark.parametrize("package", ["dicebear", "dicebear_styles", "resvg_py"])
def test_a_missing_package_is_one_sentence(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    sentence = f"This needs {package}, which is not installed. .*pip install .\\[avatars\\]"
    with pytest.raises(ModuleNotFoundError, match=sentence):
        data.tfds("avatars/pixel_art", "train", str(tmp_path))
