"""Train a GAN from nothing on a folder of pictures.

Every picture below the folder is cropped to a square, scaled, and seen by a DCGAN, whose discriminator learns to tell them from
what its generator draws; the generator learns to be mistaken for them. Where the pictures lie in subfolders, ``--labels`` takes
each subfolder as a class. After each epoch a sheet shows the same hundred samples, so that you see them grow.

    python examples/train_gan.py pictures --size 32 --epochs 20
"""

import argparse
from pathlib import Path

import keras

import zoo


def main():
    parser = argparse.ArgumentParser(description="Train a DCGAN on a folder of pictures.")
    parser.add_argument("folder", help="pictures: PNG, JPEG, BMP or GIF")
    parser.add_argument("--labels", action="store_true", help="take each subfolder as a class")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--grey", action="store_true", help="one channel instead of three")
    parser.add_argument("--filters", type=int, nargs="+", default=[128, 64, 32], help="the generator's channels, grid by grid")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output", default="gan", help="prefix of the files that are written")
    arguments = parser.parse_args()

    if not Path(arguments.folder).is_dir():
        parser.error(f"{arguments.folder} is not a folder.")
    if not Path(arguments.output).parent.is_dir():
        parser.error(f"There is no folder {Path(arguments.output).parent} to write to.")
    try:
        data = keras.utils.image_dataset_from_directory(
            arguments.folder,
            labels="inferred" if arguments.labels else None,
            color_mode="grayscale" if arguments.grey else "rgb",
            image_size=(arguments.size, arguments.size),
            crop_to_aspect_ratio=True,
            batch_size=arguments.batch_size,
            seed=0,
        )
        model = zoo.models.DCGAN(
            image_shape=(arguments.size, arguments.size, 1 if arguments.grey else 3),
            filters=arguments.filters,
            kernel_size=4,
            num_classes=len(data.class_names) if arguments.labels else None,
            ema=0.99,
        )
    except ValueError as error:
        parser.error(str(error))

    def scaled(images, *labels):
        return (images / 255, *labels) if labels else images / 255

    def show(epoch, logs):
        images = model.sample(100, seed=0)
        rows = [keras.ops.concatenate(list(images[i : i + 10]), axis=1) for i in range(0, 100, 10)]
        keras.utils.save_img(f"{arguments.output}.png", keras.ops.concatenate(rows, axis=0))

    model.fit(
        data.map(scaled).prefetch(2),
        epochs=arguments.epochs,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=show)],
        verbose=2,
    )
    model.save(f"{arguments.output}.keras")
    print(f"Written: {arguments.output}.png, {arguments.output}.keras")


if __name__ == "__main__":
    main()
