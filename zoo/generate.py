"""Bulk sampling: a pipeline of Apache Beam that writes a data set of tensorflow-datasets.

Row i of the data set is the image of the seed ``seed + i``, so that a shard can be written by any
worker at any time, and writing it again gives the same bytes. A shard has its final name when it is
complete. The metadata, without which tensorflow-datasets does not read the folder, is written last.
"""

import io
import json
import math
import os
import re
import threading
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.utils.shared import Shared

from zoo import loading
from zoo.inference import litert, validation
from zoo.inference.methods import BATCH
from zoo.utils.atomic import atomic_write, new_folder
from zoo.utils.documents import document

# File of a folder that holds the arguments of its first run.
FILE = "generate.json"
SPLIT = "train"
# Beam's DirectRunner downloads a program, Prism, before it falls back to this one.
RUNNER = "FnApiRunner"
# Upper limit of a shard's size in bytes if the number of shards is not given.
SHARD_BYTES = 64 * 2**20
# Upper limits of the overhead of a record: that of zlib and of PNG's chunks as a fraction of the
# image's bytes, and that of everything else in bytes.
PNG_OVERHEAD, OVERHEAD = 0.01, 300
# Bytes that TFRecord adds to each record.
RECORD_OVERHEAD = 16
# Advice at the end of the errors of a pipeline.
AGAIN = "Finished shards are kept: run the same command again."


class PipelineError(OSError):
    """A pipeline ended before all shards were written."""


@dataclass(frozen=True)
class Plan:
    """Arguments that decide the bytes of a data set.

    Attributes:
        model: Name of the model.
        sha256: SHA-256 sum of the files of the model.
        runtime: Runtime that computes the images.
        n: Number of images.
        seed: Seed of the first image.
        labels: Labels that are used in turn, or None for the label seed mod num_classes.
        shards: Number of files.
        condition: {attribute: name of its value} of all images, or None.
    """

    model: str
    sha256: str
    runtime: str
    n: int
    seed: int
    labels: list | None
    shards: int
    condition: dict | None = None

    def rows(self, shard: int) -> range:
        """Returns the numbers of the rows of a shard."""
        return range(*(self.n * index // self.shards for index in (shard, shard + 1)))

    def template(self, folder) -> tfds.core.ShardedFileTemplate:
        """Returns the template of the shards' file names, as tensorflow-datasets names them."""
        name = re.sub(r"\W", "_", self.model, flags=re.ASCII)
        return tfds.core.ShardedFileTemplate(
            data_dir=folder,
            dataset_name=name if name[0].isalpha() else f"model_{name}",
            split=SPLIT,
            filetype_suffix="tfrecord",
        )

    def paths(self, folder) -> list[Path]:
        """Returns the paths of the shards in a folder."""
        names = self.template(folder).sharded_filenames(self.shards)
        return [Path(folder, name) for name in names]


def generate(
    stored: loading.StoredModel,
    n: int,
    folder,
    *,
    labels: list | None = None,
    condition: dict | None = None,
    seed: int = 0,
    runtime: str | None = None,
    shards: int | None = None,
    beam_options=(),
    progress=None,
) -> None:
    """Writes n images of a model as a data set that ``tfds.builder_from_directory`` reads.

    If a run was interrupted, the next one with the same arguments writes the shards that are
    missing.

    Args:
        stored: The model.
        n: Number of images.
        folder: A new folder, or the folder of an interrupted run. All workers must have access to
            it by this path.
        labels: Labels that are used in turn. With None, the image of seed s has the label
            s mod num_classes.
        condition: {attribute: name of its value} for a model that is conditional on attributes.
            Attributes that are not given vary with the seed.
        seed: Seed of the first image, counted upwards.
        runtime: One of ``stored.runtimes``. Defaults to ``stored.preferred``.
        shards: Number of files. Defaults to the smallest number for which each file has at most
            ``SHARD_BYTES``.
        beam_options: Options of Beam's pipeline, such as "--runner=FlinkRunner". The default runner
            is ``RUNNER``, which runs on this machine.
        progress: Callable, ``progress("images", done, n)``.

    Raises:
        ValueError: If an argument is not as above, the model is conditional on a tensor, or the
            folder has other files.
        PipelineError: If a worker fails, or a shard is missing at the end.
        OSError: If a file cannot be written.
    """
    pipeline = pipeline_of(beam_options)
    runtime = runtime or stored.preferred
    model, n = stored.load(runtime), validation.positive_int(n)
    _check(stored, model, n, labels, condition, seed)
    shards = default_shards(n, model.image_shape) if shards is None else shards
    shards = validation.positive_int(shards, "shards")
    if shards > n:
        raise ValueError(f"shards must be at most {n}, the number of images; received: {shards}.")
    plan = Plan(stored.name, stored.digest(), runtime, n, seed, labels, shards, condition)
    folder = _folder(folder)
    _start(plan, folder)
    described = features(model, stored.card.class_names if model.num_classes else [])
    with _reported(plan, folder, progress):
        _write_missing(plan, folder, stored.location, pipeline)
    _finish(plan, folder, described)


def default_shards(n: int, image_shape: tuple) -> int:
    """Returns the smallest number of shards that have at most ``SHARD_BYTES`` each."""
    # PNG adds one byte to each row of pixels.
    image = math.prod(image_shape) + image_shape[0]
    record = math.ceil((1 + PNG_OVERHEAD) * image) + OVERHEAD
    return math.ceil(n / max(1, SHARD_BYTES // record))


def features(model, class_names: list) -> tfds.features.FeaturesDict:
    """Returns the features of a model's images: "image", and "label" or attributes, if any."""
    parts = {"image": tfds.features.Image(shape=model.image_shape, encoding_format="png")}
    if class_names:
        parts["label"] = tfds.features.ClassLabel(names=class_names)
    elif model.num_classes:
        parts["label"] = tfds.features.ClassLabel(num_classes=model.num_classes)
    for name, values in (model.attributes or {}).items():
        parts[name] = tfds.features.ClassLabel(names=list(values))
    return tfds.features.FeaturesDict(parts)


def pipeline_of(flags) -> beam.Pipeline:
    """Makes a pipeline from options of Beam.

    Raises:
        ValueError: If the value of an option is invalid, or Beam does not know the option and the
            pipeline runs on this machine. A runner of a cluster may have options of its own.
    """
    flags = list(flags)
    message = io.StringIO()
    try:
        with redirect_stderr(message):
            options = PipelineOptions(flags)
            known = options.get_all_options()
            every = options.get_all_options(retain_unknown_options=True)
    except SystemExit as error:
        reason = message.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"BEAM_OPTION must be an option of Beam; received: {reason}.") from error
    standard = options.view_as(StandardOptions)
    standard.runner = standard.runner or RUNNER
    unknown = [f"--{name}" for name in sorted({*every} - {*known})]
    if flags and not flags[0].startswith("-"):
        unknown = flags[:1]
    if unknown and standard.runner in StandardOptions.LOCAL_RUNNERS:
        raise ValueError(
            "BEAM_OPTION must be an option of Beam, such as --direct_num_workers=2, after --; "
            f"received: {', '.join(unknown)}."
        )
    return beam.Pipeline(options=options)


def _check(stored, model, n, labels, condition, seed):
    """Validates the arguments of the samples."""
    if condition is not None and not model.attributes:
        raise ValueError(
            f"condition must be None for {stored.given}, which is not conditional on attributes; "
            f"received: {validation.short(condition)}."
        )
    if model.condition_shape and not model.attributes:
        raise ValueError(
            f"model must not be conditional on a tensor; received: {stored.given}, whose condition "
            f"has the shape {model.condition_shape}. Draw its images in Python by model.sample(n, "
            "condition=...)."
        )
    for one in (validation.seed(seed), seed + n - 1):
        validation.seeds(one, 1)
    if labels or condition:  # The smallest sample that validates all of them.
        model.sample(len(labels or [0]), labels, condition=condition)


def _folder(given) -> Path:
    """Returns the absolute path of a folder."""
    if "://" in str(given):
        raise ValueError(
            "folder must be in a file system that all workers share; received: "
            f"{validation.short(str(given))}."
        )
    return Path(given).absolute()


def _start(plan, folder):
    """Creates the folder, or compares the arguments of its first run with those of this run."""
    if (folder / FILE).is_file():
        first = json.loads((folder / FILE).read_text(encoding="utf-8"))
        now = asdict(plan)
        other = [key for key in now if now[key] != first.get(key)]
        if other:
            wanted, received = (
                ", ".join(f"{key} {validation.short(values.get(key))}" for key in other)
                for values in (first, now)
            )
            raise ValueError(
                f"The arguments must be those of the first run into {folder}, {wanted}; received: "
                f"{received}. Write other images to another folder."
            )
        return
    is_used = folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())
    if is_used:
        raise ValueError(
            "folder must be new or empty, or the folder of an interrupted run; received: "
            f"{folder}, which has other files."
        )
    with new_folder(folder), atomic_write(folder / FILE) as partial:
        partial.write_text(document(asdict(plan)) + "\n", encoding="utf-8")


def _write_missing(plan, folder, location, pipeline):
    """Runs the pipeline on the shards that have no file."""
    missing = [shard for shard, path in enumerate(plan.paths(folder)) if not path.exists()]
    if missing:
        try:
            with pipeline:
                shards = pipeline | "Numbers of shards" >> beam.Create(missing) | beam.Reshuffle()
                write = WriteShard(plan, folder, location, litert_threads(pipeline.options))
                _ = shards | "Write shards" >> beam.ParDo(write)
        except Exception as error:  # A runner raises an error of any class.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            raise PipelineError(f"{_reason(error)} {AGAIN}") from error


def litert_threads(options) -> int | None:
    """Returns the number of LiteRT's threads in each process, or None for its default.

    Processes on this machine share its cores. The number of processes on each machine of a cluster
    is not an option of Beam.
    """
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return None
    cores = os.cpu_count() or 1
    return max(1, cores // (direct.direct_num_workers or cores))


def _reason(error) -> str:
    """Returns the message of an error, which may be the last line of a worker's traceback."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\w*Error: | \[while running '.*'\]$", "", lines[-1])


class WriteShard(beam.DoFn):
    """Writes the shards whose numbers it receives, unless they exist.

    Args:
        plan: Arguments that decide the images.
        folder: Folder of the shards.
        location: Name or path of the model.
        threads: Number of LiteRT's threads, unless the environment of the worker has one; or None
            for its default.
    """

    def __init__(self, plan: Plan, folder: Path, location: str, threads: int | None = None):
        self._plan, self._folder, self._location = plan, folder, location
        self._threads = threads
        self._shared = Shared()

    def setup(self) -> None:
        """Loads the model, once in each process.

        Raises:
            ValueError: If the worker has other files of the model than the first run.
        """
        if self._threads:  # The process is a worker of Beam, which does nothing else.
            os.environ.setdefault(litert.THREADS_VARIABLE, str(self._threads))
        self._model = self._shared.acquire(self._loaded)

    def _loaded(self):
        stored = loading.find(self._location)
        if stored.digest() != self._plan.sha256:
            raise ValueError(
                f"All workers must have the same files of {self._location}; received: other files "
                "on one of them. Install the same version there."
            )
        return stored.load(self._plan.runtime)

    def process(self, shard: int):
        """Writes a shard."""
        path = self._plan.paths(self._folder)[shard]
        if not path.exists():
            with atomic_write(path) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
                for record in self._records(self._plan.rows(shard)):
                    writer.write(record)

    def _records(self, rows):
        """Yields the serialized examples of rows."""
        plan = self._plan
        for first in range(rows.start, rows.stop, BATCH):
            row = np.arange(first, min(first + BATCH, rows.stop))
            seeds, labels, values = plan.seed + row, self._labels(row), self._attributes(row)
            images = self._model.sample(len(row), labels, seed=seeds, condition=values)
            columns = {} if labels is None else {"label": labels}
            if values is not None:
                columns = dict(zip(self._model.attributes, values.T))
            files = tf.io.encode_png(np.uint8(np.round(images * 255))).numpy()
            for i, png in enumerate(files):
                yield serialized(png, {name: column[i] for name, column in columns.items()})

    def _attributes(self, row):
        """Returns the values of the attributes of rows, int32 ``(n, k)``, or None without any."""
        plan, attributes = self._plan, self._model.attributes
        if not attributes:
            return None
        return validation.attribute_values(plan.condition, attributes, len(row), plan.seed + row)

    def _labels(self, row):
        """Returns the labels of rows, or None if the model is not conditional."""
        plan = self._plan
        if plan.labels:
            return np.asarray(plan.labels)[row % len(plan.labels)]
        return (plan.seed + row) % self._model.num_classes if self._model.num_classes else None


def serialized(png, values: dict) -> bytes:
    """Returns a tf.train.Example of the features of ``features``.

    The ``serialize_example`` of tensorflow-datasets puts the features in any order, which differs
    between processes.
    """
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(png)
    for name, value in values.items():
        example.features.feature[name].int64_list.value.append(value)
    return example.SerializeToString(deterministic=True)


@contextmanager
def _reported(plan, folder, progress):
    """Reports the number of images in finished shards, once a second until the block ends."""
    if progress is None:
        yield
        return
    ended = threading.Event()
    rows = {path.name: len(plan.rows(shard)) for shard, path in enumerate(plan.paths(folder))}

    def report():
        last = None
        while True:
            is_last = ended.wait(1)
            done = sum(rows.get(name, 0) for name in os.listdir(folder))
            if done != last:
                progress("images", done, plan.n)
            last = done
            if is_last:
                return

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _finish(plan, folder, described):
    """Checks that all shards exist and writes the metadata."""
    paths = plan.paths(folder)
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise PipelineError(
            f"folder must be in a file system that all workers share; received: {folder}, in which "
            f"{len(missing)} of {plan.shards} shards are missing. {AGAIN}"
        )
    template = plan.template(folder)
    for partial in folder.glob(f".{template.dataset_name}-{SPLIT}.*.partial*"):
        partial.unlink()  # A worker was killed while it wrote this file.
    split = tfds.core.SplitInfo(
        name=SPLIT,
        shard_lengths=[len(plan.rows(shard)) for shard in range(plan.shards)],
        num_bytes=sum(path.stat().st_size for path in paths) - RECORD_OVERHEAD * plan.n,
        filename_template=template,
    )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=described,
        split_infos=[split],
        check_data=False,
        # The order of the rows is that of their seeds, and tensorflow-datasets keeps it.
        disable_shuffling=True,
        supervised_keys=("image", "label") if "label" in described else None,
        description=f"Images of {plan.model} with the seeds {plan.seed} to "
        f"{plan.seed + plan.n - 1}, drawn on the runtime {plan.runtime}.",
    )
