"""Layout of an artifact's folder. Imports only the standard library.

```
NAME/               the base path of TF Serving
  card.json  README.md  samples.png
  1/                a version: a SavedModel
    assets.extra/   further files of the version
```
"""

from pathlib import Path

CARD = "card.json"
PAGE = "README.md"
SHEET = "samples.png"
# The file that marks the folder of a run instead of an artifact.
RECIPE = "recipe.json"
ASSETS = "assets.extra"
# TF Serving replays the requests of this file when it loads the version.
WARMUP = f"{ASSETS}/tf_serving_warmup_requests"
# The file of a version directory that each runtime reads.
FILES = {
    "keras": f"{ASSETS}/model.keras",
    "litert": f"{ASSETS}/model.tflite",
    "litert-int8": f"{ASSETS}/model_int8.tflite",
    "saved_model": "saved_model.pb",
}
RUNTIMES = tuple(FILES)
INT8 = "litert-int8"
TFLITE_RUNTIMES = ("litert", INT8)


def versions(paths) -> list[int]:
    """Returns the numbers of versions, ascending, from paths such as "2/saved_model.pb"."""
    first = (path.partition("/")[0] for path in paths)
    return sorted({int(part) for part in first if part.isdecimal()})


def next_version(folder: Path) -> int:
    """Returns the number above the highest version in a folder."""
    return max(versions(path.name for path in folder.iterdir()), default=0) + 1
