"""Trains a GAN on a folder of pictures.

Every picture in the folder and its subfolders is cropped to a square and scaled. The discriminator
of a DCGAN learns to distinguish the pictures from samples of the generator, and the generator
learns to draw samples that the discriminator takes for pictures. With ``--labels`` each subfolder
is a class. A sheet of a hundred samples is written after every hundred steps.

    python examples/train_gan.py pictures --size 32

A step is one batch of pictures. With 600 drawings of coloured shapes of 32x32 pixels, the samples
were grey blobs after 200 steps, coloured blobs after 500, shapes after 1,000, and clearer shapes
after 2,000. Photographs and larger images need more steps. The script warns if there are few
pictures or steps. At the end it prints whether the samples differ from one another as much as the
pictures do; after a collapse they do not.
"""

import argparse
import math
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo.utils import image_files

# These are enough for drawings of coloured shapes. Photographs need more of both.
ENOUGH_PICTURES, ENOUGH_STEPS = 600, 1000
# If the samples' spread is a smaller part of the pictures' spread, they are nearly one image.
COLLAPSED = 0.5
SHEET_EVERY = 100


def parse():
    """Parses and validates the command line."""
    parser = argparse.ArgumentParser(description="Train a DCGAN on a folder of pictures.")
    parser.add_argument("folder", help="folder of PNG, JPEG, BMP or GIF files")
    parser.add_argument("--labels", action="store_true", help="use each subfolder as a class")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images  [32]")
    parser.add_argument("--grey", action="store_true", help="one channel instead of three")
    parser.add_argument(
        "--filters", type=int, nargs="+", help="generator's channels  [32 at the largest grid]"
    )
    parser.add_argument("--steps", type=int, default=2000, help="number of training steps  [2000]")
    parser.add_argument("--batch-size", type=int, default=64, help="pictures in a batch  [64]")
    parser.add_argument("--output", default="gan", help="prefix of the files  [gan]")
    arguments = parser.parse_args()
    if not Path(arguments.folder).is_dir():
        parser.error(f"{arguments.folder} is not a folder.")
    if not Path(arguments.output).parent.is_dir():
        parser.error(f"There is no folder {Path(arguments.output).parent} to write to.")
    return parser, arguments


def read(arguments):
    """Reads the pictures as (batches in [0, 1], number of pictures, names of the classes)."""
    data = keras.utils.image_dataset_from_directory(
        arguments.folder,
        labels="inferred" if arguments.labels else None,
        color_mode="grayscale" if arguments.grey else "rgb",
        image_size=(arguments.size, arguments.size),
        crop_to_aspect_ratio=True,
        batch_size=arguments.batch_size,
        seed=0,
    )
    names, n = data.class_names if arguments.labels else None, len(data.file_paths)
    if arguments.labels:
        return data.map(lambda images, labels: (images / 255, labels)), n, names
    return data.map(lambda images: images / 255), n, names


def build(arguments, class_names):
    """Returns an untrained DCGAN for the pictures."""
    filters = arguments.filters
    if not filters:
        # The smallest grid has 4 rows and columns. Each smaller grid has twice as many channels.
        grids = math.ceil(math.log2(arguments.size / 4))
        filters = [32 * 2**i for i in reversed(range(grids))]
    return zoo.models.DCGAN(
        image_shape=(arguments.size, arguments.size, 1 if arguments.grey else 3),
        filters=filters,
        kernel_size=4,
        num_classes=len(class_names) if class_names else None,
        instance_noise=0.1,  # Hides differences of single grey levels from the discriminator.
        ema=0.99,
    )


def spread(images):
    """Computes the standard deviation between images, averaged over pixels."""
    return float(np.std(images, axis=0).mean())


def expect(n, steps):
    """Prints a warning if there are few pictures or steps."""
    print(f"{n} pictures, {steps} steps.")
    if n < ENOUGH_PICTURES:
        print(f"That is few pictures: simple drawings need {ENOUGH_PICTURES}, photographs more.")
    if steps < ENOUGH_STEPS:
        print(f"That is few steps: below {ENOUGH_STEPS} expect blobs. Set --steps.")


def judge(samples, real):
    """Prints whether the samples differ from one another as the pictures do."""
    ratio = spread(samples) / spread(real)
    print(f"The samples differ from one another {ratio:.2f} times as much as the pictures do.")
    if ratio < COLLAPSED:
        print(
            "Warning: the generator draws nearly the same image for every z. It has collapsed or "
            "has not learned enough. Set more --steps, more pictures or a smaller --size."
        )


def main():
    """Trains a DCGAN and saves it with a sheet of samples."""
    parser, arguments = parse()
    keras.utils.set_random_seed(0)
    try:
        data, n, class_names = read(arguments)
        model = build(arguments, class_names)
    except ValueError as error:
        parser.error(str(error))
    expect(n, arguments.steps)

    def show(epoch, logs):
        sheet = image_files.sheet(model.sample(100, seed=0), columns=10)
        image_files.write(sheet, f"{arguments.output}.png")

    # An epoch is the steps between two sheets here, for any number of pictures.
    steps = min(arguments.steps, SHEET_EVERY)
    model.fit(
        data.repeat().prefetch(2),
        epochs=arguments.steps // steps,
        steps_per_epoch=steps,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)],
        verbose=2,
    )
    seen = data.unbatch().take(500).as_numpy_iterator()
    real = np.stack([row[0] if class_names else row for row in seen])
    judge(model.sample(100, seed=0), real)
    model.save(f"{arguments.output}.keras")
    print(f"Written: {arguments.output}.png, {arguments.output}.keras")


if __name__ == "__main__":
    main()
