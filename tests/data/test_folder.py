"""Tests of the source of picture files: formats, labels, subsets, damaged files, memory."""

import os

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps

from zoo import data
from zoo.data.folder import FolderSource
from zoo.data.memory import MemorySource

RAMP = np.linspace(0, 255, 12 * 16).reshape(12, 16).astype("uint8")
COLOUR = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=-1)


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of two classes, all of 8x8 pixels."""
    for i in range(20):
        path = tmp_path / ("cats" if i % 2 else "dogs") / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype="uint8")
        Image.fromarray(pixels).save(path)
    return tmp_path


def only(folder, **settings):
    """Returns the pixels of the only image of a folder, uint8."""
    images, _ = data.folder(folder, **settings).first()
    (image,) = np.uint8(np.round(images * 255))
    return image


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "webp", "ppm"])
def test_formats_without_loss_are_read_exactly(suffix, tmp_path):
    picture = Image.fromarray(RAMP)
    picture.save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    image = only(tmp_path)
    channel = image[..., 0]
    np.testing.assert_array_equal(channel, RAMP)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_photograph_is_applied(orientation, tmp_path):
    upright = Image.fromarray(COLOUR)
    stored = {
        1: upright,
        2: ImageOps.mirror(upright),
        3: upright.rotate(180),
        4: ImageOps.flip(upright),
        5: ImageOps.flip(upright).rotate(-90, expand=True),
        6: upright.rotate(90, expand=True),
        7: ImageOps.flip(upright).rotate(90, expand=True),
        8: upright.rotate(-90, expand=True),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(only(tmp_path), COLOUR)


def test_transparent_pixels_are_shown_over_white(tmp_path):
    alpha = np.zeros((12, 16, 1), "uint8")
    alpha[:, 8:] = 255
    Image.fromarray(np.concatenate([COLOUR, alpha], axis=-1)).save(tmp_path / "a.png")
    image = only(tmp_path)
    assert (image[:, :8] == 255).all()
    np.testing.assert_array_equal(image[:, 8:], COLOUR[:, 8:])


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    picture = Image.fromarray(np.uint8([[0, 1], [1, 0]]), "P")
    picture.putpalette([0, 0, 0, 200, 10, 10])
    picture.save(tmp_path / "a.png", transparency=0)
    white, red = [255, 255, 255], [200, 10, 10]
    np.testing.assert_array_equal(only(tmp_path, size=2), [[white, red], [red, white]])


def test_grey_levels_of_16_bits_are_scaled(tmp_path):
    Image.fromarray(np.uint16(RAMP) * 257).save(tmp_path / "a.png")
    np.testing.assert_array_equal(only(tmp_path)[..., 0], RAMP)


def test_colours_of_print_and_bits_are_converted(tmp_path):
    Image.fromarray(RAMP).convert("1").save(tmp_path / "a.png")
    assert set(np.unique(only(tmp_path))) == {0, 255}
    (tmp_path / "a.png").unlink()
    Image.fromarray(np.full((8, 8, 3), 255, "uint8")).convert("CMYK").save(tmp_path / "a.tif")
    assert (only(tmp_path) == 255).all()


def test_a_wide_picture_is_cropped_or_padded(tmp_path):
    wide = np.zeros((10, 30, 3), "uint8") + np.uint8([[[255, 0, 0]]])
    wide[:, 10:20] = [0, 0, 255]
    Image.fromarray(wide).save(tmp_path / "a.png")
    cropped = only(tmp_path, size=10)
    assert (cropped == [0, 0, 255]).all()
    padded = only(tmp_path, image_size=(30, 30), pad_to_aspect_ratio=True)
    assert not padded[:10].any()
    assert not padded[20:].any()
    np.testing.assert_array_equal(padded[10:20], wide)


def test_a_thin_picture_is_padded(tmp_path):
    Image.new("RGB", (4000, 3), "red").save(tmp_path / "a.png")
    image = only(tmp_path, size=8, pad_to_aspect_ratio=True)
    assert image[..., 0].max() == 255
    assert not image[..., 1:].any()
    assert image[..., 0].any(axis=1).sum() == 1


def test_padding_is_that_of_pillow(tmp_path):
    rng = np.random.default_rng(0)
    for width, height in [(7, 5), (30, 9), (8, 31), (16, 16)]:
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype="uint8"))
        picture.save(tmp_path / "a.png")
        expected = ImageOps.pad(picture, (12, 8), Image.Resampling.LANCZOS)
        image = only(tmp_path, image_size=(8, 12), pad_to_aspect_ratio=True)
        np.testing.assert_array_equal(image, expected)


def test_a_picture_in_lab_becomes_grey(tmp_path):
    Image.new("LAB", (8, 8), (128, 128, 128)).save(tmp_path / "a.tif")
    colour = only(tmp_path, color_mode="rgb")
    grey = only(tmp_path, color_mode="grayscale")
    np.testing.assert_allclose(grey[..., 0], colour.mean(axis=-1), atol=2)


def test_levels_that_are_not_finite_are_refused(tmp_path):
    levels = np.full((8, 8), 0.5, "float32")
    levels[0, 0] = np.nan
    Image.fromarray(levels).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif must be a picture .*levels must be finite"):
        data.folder(tmp_path, strict=True)


def test_the_shape_is_found(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    assert data.folder(tmp_path).image_shape == (12, 16, 1)
    assert data.folder(tmp_path, color_mode="rgb").image_shape == (12, 16, 3)
    Image.fromarray(np.zeros((90, 200, 3), "uint8")).save(tmp_path / "b.jpg")
    Image.fromarray(np.zeros((300, 90, 3), "uint8")).save(tmp_path / "c.jpg")
    assert data.folder(tmp_path).image_shape == (64, 64, 3)
    assert data.folder(tmp_path, color_mode="grayscale").image_shape == (64, 64, 1)
    (tmp_path / "b.jpg").unlink()
    assert data.folder(tmp_path).image_shape == (32, 32, 3)


def test_sub_folders_are_labels(pictures):
    source = data.folder(pictures)
    assert source.classes == ("cats", "dogs")
    images, labels = source.first()
    np.testing.assert_array_equal(labels, [0] * 10 + [1] * 10)
    first = np.asarray(Image.open(pictures / "cats" / "01.png"))
    np.testing.assert_array_equal(np.uint8(np.round(images[0] * 255)), first)
    assert data.folder(pictures, labels=None).classes is None
    assert len(data.folder(pictures, labels=None)) == 20
    assert data.folder(pictures, class_names=["dogs", "cats"]).classes == ("dogs", "cats")
    assert len(data.folder(pictures, class_names=["dogs"])) == 10


def test_the_source_agrees_with_keras(pictures):
    dataset = keras.utils.image_dataset_from_directory(
        pictures, image_size=(8, 8), shuffle=False, batch_size=20, verbose=False
    )
    (given,) = dataset.map(lambda images, labels: (images / 255, labels))
    images, labels = data.folder(pictures).first()
    np.testing.assert_allclose(images, given[0], atol=1e-6)
    np.testing.assert_array_equal(labels, given[1])
    read = data.get(dataset.map(lambda images, labels: (images / 255, labels)))
    np.testing.assert_allclose(read.first()[0], images, atol=1e-6)


def test_disk_and_memory_give_the_same_batches(pictures):
    sources = [data.folder(pictures, in_memory=kept) for kept in (True, False)]
    assert [type(source) for source in sources] == [MemorySource, FolderSource]
    for settings in ({}, {"seed": 3}, {"seed": 3, "start_step": 4}, {"seed": 3, "shard": (1, 2)}):
        batches = [list(source.batches(6, **settings).take(3)) for source in sources]
        for one, two in zip(*batches, strict=True):
            np.testing.assert_array_equal(one[0], two[0])
            np.testing.assert_array_equal(one[1], two[1])
    for one, two in zip(*(source.first(7) for source in sources)):
        np.testing.assert_array_equal(one, two)


def test_the_held_out_share_and_the_rest_are_all_pictures(pictures):
    training, held_out = data.folder(pictures, validation_split=0.25, subset="both", seed=1)
    assert (len(training), len(held_out)) == (15, 5)
    together = np.concatenate([training.first()[0], held_out.first()[0]])
    everything = data.folder(pictures).first()[0]
    assert {image.tobytes() for image in together} == {image.tobytes() for image in everything}
    again = data.folder(pictures, validation_split=0.25, subset="validation", seed=1)
    np.testing.assert_array_equal(again.first()[0], held_out.first()[0])
    sizes = [
        [len(part) for part in data.folder(pictures, validation_split=share, subset="both")]
        for share in (0.001, 0.999)
    ]
    assert sizes == [[19, 1], [1, 19]]


def test_other_pictures_hardly_change_which_ones_are_held_out(pictures):
    arguments = {"validation_split": 0.3, "in_memory": False}
    before = data.folder(pictures, subset="training", **arguments).first()[0]
    for i in range(4):
        Image.fromarray(np.full((8, 8, 3), i, "uint8")).save(pictures / "cats" / f"new_{i}.png")
    after = data.folder(pictures, subset="validation", **arguments).first()[0]
    trained = {image.tobytes() for image in before}
    # One picture more of the class is held out now.
    assert len(after) == 7
    assert sum(image.tobytes() in trained for image in after) <= 1


def test_each_class_is_in_both_parts(pictures):
    training, held_out = data.folder(pictures, validation_split=0.2, subset="both")
    for part, number in ((training, 8), (held_out, 2)):
        np.testing.assert_array_equal(np.bincount(part.first()[1]), [number, number])


def test_the_share_is_that_of_all_pictures_if_the_classes_are_small(tmp_path):
    for number in range(20):
        (tmp_path / f"class_{number % 10}").mkdir(exist_ok=True)
        picture = Image.fromarray(np.full((8, 8, 3), number, "uint8"))
        picture.save(tmp_path / f"class_{number % 10}" / f"{number}.png")
    training, held_out = data.folder(tmp_path, validation_split=0.1, subset="both")
    assert (len(training), len(held_out)) == (18, 2)


def test_a_folder_with_only_damaged_pictures_is_one_sentence(pictures):
    for path in pictures.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    for kept in (True, False):
        with (
            pytest.warns(UserWarning, match="left out"),
            pytest.raises(ValueError, match="only damaged files"),
        ):
            data.folder(pictures, in_memory=kept)


def test_a_class_without_readable_pictures_is_no_class(pictures):
    (pictures / "birds").mkdir()
    (pictures / "birds" / "a.png").write_text("not a picture")
    with pytest.warns(UserWarning, match="left out"):
        assert data.folder(pictures).classes == ("cats", "dogs")


def test_a_damaged_picture_is_named_and_left_out(pictures):
    whole = (pictures / "cats" / "01.png").read_bytes()
    (pictures / "cats" / "01.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "dogs" / "zzz.jpg").write_text("not a picture")
    (pictures / "dogs" / "notes.txt").write_text("not named as a picture")
    for kept in (True, False):
        with pytest.warns(UserWarning, match="A picture is left out: ") as warned:
            source = data.folder(pictures, in_memory=kept)
        texts = [str(one.message) for one in warned]
        assert len(texts) == 2
        assert "zzz.jpg must be a picture that Pillow can read" in texts[0]
        assert "01.png must be a picture that Pillow can read" in texts[1]
        assert len(source) == 19
    with pytest.raises(ValueError, match=r"zzz\.jpg must be a picture that Pillow can read"):
        data.folder(pictures, strict=True)


def test_a_link_to_no_file_is_left_out(pictures):
    (pictures / "cats" / "gone.png").symlink_to(pictures / "nowhere.png")
    with pytest.warns(UserWarning, match=r"gone\.png must be a picture; received: a link to no"):
        assert len(data.folder(pictures)) == 20
    with pytest.raises(ValueError, match="a link to no file"):
        data.folder(pictures, strict=True)


def test_a_link_to_a_folder_is_named_or_followed(pictures, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    Image.fromarray(COLOUR).save(other / "a.png")
    (pictures / "birds").symlink_to(other)
    with pytest.warns(UserWarning, match=r"birds are left out, because it is a link to a folder"):
        assert data.folder(pictures).classes == ("cats", "dogs")
    assert data.folder(pictures, follow_links=True).classes == ("birds", "cats", "dogs")


def test_a_named_pipe_is_left_out(pictures):
    os.mkfifo(pictures / "cats" / "pipe.png")
    with pytest.warns(UserWarning, match=r"pipe\.png must be a picture .*named pipe"):
        assert len(data.folder(pictures)) == 20


def test_a_file_name_may_have_any_bytes(pictures):
    name = os.fsdecode(b"lat\xe9n1.png")
    (pictures / "cats" / "01.png").rename(pictures / "cats" / name)
    training, held_out = data.folder(pictures, validation_split=0.2, subset="both")
    assert len(training) + len(held_out) == 20


@pytest.mark.parametrize("name", ["recipe.json", "card.json"])
def test_the_sheets_of_a_run_or_an_artifact_are_no_pictures(name, pictures):
    samples = pictures / "runs" / "mine" / "samples"
    samples.mkdir(parents=True)
    Image.fromarray(COLOUR).save(samples / "1.png")
    (samples.parent / name).write_text("{}")
    with pytest.warns(UserWarning, match=f"mine are left out, because its file {name} is that"):
        source = data.folder(pictures)
    assert len(source) == 20
    assert source.classes == ("cats", "dogs")


def test_the_description_of_a_few_pictures_counts_undamaged_ones(pictures):
    training = len(data.described_training(f"folder:{pictures}", "train"))
    for path in pictures.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    Image.fromarray(COLOUR).save(pictures / "cats" / "a.png")
    Image.fromarray(COLOUR).save(pictures / "cats" / "b.png")
    with pytest.warns(UserWarning, match="left out"):
        assert training > 2 >= len(data.described_training(f"folder:{pictures}", "train"))


def test_a_strict_description_refuses_a_damaged_picture(pictures):
    (pictures / "dogs" / "zzz.jpg").write_text("not a picture")
    name = f"folder:{pictures}"
    with pytest.raises(ValueError, match=r"zzz\.jpg must be a picture that Pillow can read"):
        data.described_training(name, "train", pictures={"strict": True})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 0}, "size must be an integer of at least 1; received: 0"),
        ({"size": 8, "image_size": (8, 8)}, "Either size or image_size must be given"),
        ({"image_size": 8}, "image_size must be a tuple of 2 integers; received: 8"),
        ({"color_mode": "rgba"}, "color_mode must be 'rgb' or 'grayscale'; received: 'rgba'"),
        ({"labels": "given"}, "labels must be 'inferred' or None; received: 'given'"),
        ({"class_names": ["cats", "cats"]}, "class_names must be different names"),
        ({"class_names": ["cats", "birds"]}, "classes cats, birds; received: none for birds"),
        ({"interpolation": "area"}, "interpolation must be one of nearest"),
        ({"validation_split": 0.5}, "subset must be one of training, validation, both"),
        ({"validation_split": 1.5, "subset": "both"}, "validation_split must be between 0 and 1"),
    ],
)
def test_wrong_arguments_are_one_sentence(settings, sentence, pictures):
    with pytest.raises(ValueError) as error:
        data.folder(pictures, **settings)
    assert sentence in str(error.value)


def test_a_folder_without_pictures_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder "):
        data.folder(tmp_path / "none")
    with pytest.raises(ValueError, match="must contain pictures that Pillow can read"):
        data.folder(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"a\.txt must be a folder of pictures; received: a file"):
        data.folder(tmp_path / "a.txt")


def test_pictures_beside_the_sub_folders_are_not_lost(pictures):
    Image.fromarray(RAMP).save(pictures / "lost.png")
    with pytest.raises(ValueError, match=r"beside the sub-folders, such as lost\.png"):
        data.folder(pictures)
    assert len(data.folder(pictures, labels=None, size=8)) == 21
