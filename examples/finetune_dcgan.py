"""Teach a generator that draws digits to draw clothes.

``cdcgan_mnist`` knows how to draw strokes on a grid of 28x28, and its discriminator knows what to look at. This script trains
the game on with ``fit`` on another data set, and looks at it with the eyes of a nearest-neighbour classifier: how many test
images of clothes it gets right when its training set is what the model drew.

    python examples/finetune_dcgan.py --epochs 2 --images 6000
"""

import argparse

import keras
import numpy as np
import tensorflow_datasets as tfds

import zoo


def scaled(image, label):
    return keras.ops.cast(image, "float32") / 255, label


def data(dataset, split, images):
    return tfds.load(dataset, split=split, as_supervised=True).take(images).map(scaled).cache()


def right(model, images, labels, samples=2000):
    """The share of images whose nearest sample has their label."""
    drawn = model.sample(samples).reshape(samples, -1)
    distances = (drawn**2).sum(axis=1) - 2 * images.reshape(len(images), -1) @ drawn.T
    return (distances.argmin(axis=1) % model.num_classes == labels).mean()


def main():
    parser = argparse.ArgumentParser(description="Fine-tune cdcgan_mnist on another data set of 28x28 images.")
    parser.add_argument("--dataset", default="fashion_mnist", help="name in tensorflow-datasets")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=6000, help="how many training images")
    parser.add_argument("--output", default="clothes", help="prefix of the files that are written")
    arguments = parser.parse_args()

    train = data(arguments.dataset, "train", arguments.images).shuffle(arguments.images, seed=0).batch(50)
    images, labels = (np.stack(column) for column in zip(*data(arguments.dataset, "test", 1000).as_numpy_iterator()))

    model = zoo.load("cdcgan_mnist")
    print(f"before: {right(model, images, labels):.3f} of the test images have a nearest sample of their class")
    model.fit(train, epochs=arguments.epochs, verbose=2)
    print(f"after: {right(model, images, labels):.3f}")
    model.save(f"{arguments.output}.keras")

    images = model.sample(100, seed=0)  # the classes in turn: a column for each
    rows = [keras.ops.concatenate(list(images[i : i + 10]), axis=1) for i in range(0, 100, 10)]
    keras.utils.save_img(f"{arguments.output}.png", keras.ops.concatenate(rows, axis=0))
    print(f"Written: {arguments.output}.keras, {arguments.output}.png")


if __name__ == "__main__":
    main()
