"""Data set of drawn faces, which are computed from seeds without a download.

The faces are drawn by the package dicebear in two of its styles, whose licenses are CC0 1.0. A face
depends on its seed alone.
"""

import importlib.resources
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from zoo.utils.dependencies import full_install_required

HAIR_COLORS = {"black": "#2c1b18", "brown": "#724133", "blond": "#d6b370", "red": "#c93305"}
SKINS = {"light": "#ffdbb4", "medium": "#d08b5b", "dark": "#8d5524"}
BACKGROUNDS = ["#b6e3f4", "#c0aede", "#d1d4f9", "#ffd5dc", "#c8e6c9"]
# {attribute: names of its values}. Each is a feature of the data set, in this order.
ATTRIBUTES = {
    "glasses": ["0", "1"],
    "hair": ["short", "long"],
    "hair_color": list(HAIR_COLORS),
    "skin": list(SKINS),
}
# {split: its seeds}
SEEDS = {
    "train": range(50_000),
    "validation": range(50_000, 55_000),
    "test": range(55_000, 60_000),
}
# Options of every style. Parts that are rare, small or hide the hair are left out.
OPTIONS = {
    "backgroundColor": BACKGROUNDS,
    "hairColor": list(HAIR_COLORS.values()),
    "skinColor": list(SKINS.values()),
    "glassesProbability": 50,
    "beardProbability": 0,
}
# Number of faces that are in memory at once.
PART = 256


@dataclass(frozen=True)
class Style:
    """Style of the faces.

    Attributes:
        name: Name in the package dicebear-styles.
        size: Height and width of an image.
        options: Options of the style, besides ``OPTIONS``.
        short: Names of the variants of short hair.
        long: Names of the variants of long hair.
    """

    name: str
    size: int
    options: dict
    short: tuple
    long: tuple


def _variants(prefix: str, numbers) -> tuple:
    return tuple(f"{prefix}{number:02}" for number in numbers)


# {config: style}. Variants of lorelei that are neither short nor long are left out.
STYLES = {
    "pixel_art": Style(
        "pixel-art",
        32,
        {"accessoriesProbability": 0, "hatProbability": 0},
        _variants("short", range(1, 25)),
        _variants("long", range(1, 22)),
    ),
    "lorelei": Style(
        "lorelei",
        64,
        {
            "scale": 1.2,
            "earringsProbability": 0,
            "frecklesProbability": 0,
            "hairAccessoriesProbability": 0,
        },
        _variants(
            "variant", [*range(1, 10), 11, 12, 22, *range(25, 29), 34, 36, 38, 39, 43, 44, 46, 47]
        ),
        _variants(
            "variant",
            [10, 13, *range(15, 20), 21, 23, 24, 29, 31, 32, 33, 35, 40, 41, 42, 45, 48],
        ),
    ),
}


class Faces:
    """Draws the faces of a style.

    Args:
        style: A key of ``STYLES``.

    Raises:
        ModuleNotFoundError: If a package of the extra "avatars" is not installed.
    """

    def __init__(self, style: str):
        self.style = STYLES[style]
        with full_install_required():
            import dicebear
            import resvg_py

            folder = importlib.resources.files("dicebear_styles")
        definition = folder.joinpath(f"{self.style.name}.json").read_text("utf-8")
        self._avatar, self._render = dicebear.Avatar, resvg_py.svg_to_bytes
        self._drawn = dicebear.Style(json.loads(definition))
        hair = [*self.style.short, *self.style.long]
        self._options = OPTIONS | self.style.options | {"hairVariant": hair}

    def draw(self, seed: int) -> dict:
        """Draws the face of a seed.

        Returns:
            {"image": uint8 ``(size, size, 3)``, attribute: name of its value}, with the attributes
            of ``ATTRIBUTES``.
        """
        avatar = self._avatar(self._drawn, {"seed": str(seed)} | self._options)
        size = self.style.size
        png = self._render(
            svg_string=avatar.to_string(), width=size, height=size, skip_system_fonts=True
        )
        image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        return {"image": image} | self._attributes(avatar.to_json()["options"])

    def _attributes(self, options) -> dict:
        """Returns {attribute: name of its value} of the options that dicebear chose for a face."""
        names = {"hair_color": (HAIR_COLORS, "hairColor"), "skin": (SKINS, "skinColor")}
        return {
            "glasses": "1" if "glassesVariant" in options else "0",
            "hair": "long" if options["hairVariant"] in self.style.long else "short",
        } | {
            attribute: next(name for name, color in colors.items() if [color] == options[option])
            for attribute, (colors, option) in names.items()
        }


class Avatars(tfds.core.GeneratorBasedBuilder):
    """Drawn faces with attributes, made from seeds.

    The configs are the keys of ``STYLES``: "pixel_art", of 32x32 pixels, and "lorelei", of 64x64
    pixels. The splits are the ranges of ``SEEDS``, and a split has its faces in the order of their
    seeds. The features are "image" and the attributes of ``ATTRIBUTES``. The faces are drawn when
    the data set is used for the first time, which takes a few minutes.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(
            name=name, description=f"{style.name}, {style.size}x{style.size} pixels"
        )
        for name, style in STYLES.items()
    ]

    def _info(self):
        size = STYLES[self.builder_config.name].size
        attributes = {
            name: tfds.features.ClassLabel(names=values) for name, values in ATTRIBUTES.items()
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Drawn faces with attributes, made from seeds by dicebear.",
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(size, size, 3)), **attributes}
            ),
            homepage="https://www.dicebear.com",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(seeds) for split, seeds in SEEDS.items()}

    def _generate_examples(self, seeds):
        faces = Faces(self.builder_config.name)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # In parts, because ``map`` would draw all faces before the first is written.
            for start in range(0, len(seeds), PART):
                part = seeds[start : start + PART]
                yield from zip(part, pool.map(faces.draw, part))
