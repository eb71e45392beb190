"""Script that copies the first images of prepared data sets to tests/tensorflow_datasets.

``python tests/make_fixture.py DATA_DIR`` reads a folder that tensorflow-datasets prepared, and
writes the same format.
"""

import json
import shutil
import sys
from pathlib import Path

import tensorflow as tf

SPLITS = {"train": 300, "validation": 100, "test": 100}
TARGET = Path(__file__).parent / "tensorflow_datasets"


def cut(source: Path, target: Path) -> None:
    """Copies the first images of each split of one prepared data set."""
    target.mkdir(parents=True)
    for path in source.glob("*.txt"):
        shutil.copy(path, target)
    shutil.copy(source / "features.json", target)
    info = json.loads((source / "dataset_info.json").read_text())
    for split in info["splits"]:
        (file,) = source.glob(f"*-{split['name']}.tfrecord-00000-of-*")
        records = list(
            tf.data.TFRecordDataset(str(file)).take(SPLITS[split["name"]]).as_numpy_iterator()
        )
        name = f"{file.name.rpartition('-of-')[0]}-of-00001"
        with tf.io.TFRecordWriter(str(target / name)) as writer:
            for record in records:
                writer.write(record)
        split["shardLengths"] = [str(len(records))]
        split["numBytes"] = str(sum(map(len, records)))
    (target / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n")


if __name__ == "__main__":
    shutil.rmtree(TARGET, ignore_errors=True)
    folder = Path(sys.argv[1])
    for path in [*folder.glob("*mnist/*"), *folder.glob("avatars/[!.]*/*")]:
        cut(path, TARGET / path.relative_to(folder))
