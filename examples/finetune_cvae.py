"""Teach a model that draws digits to draw clothes.

``cvae_mnist`` has learned an encoder and a decoder of 28x28 images with a label. Its weights are a better start for
Fashion-MNIST than noise is: this script trains on, looks at the bound on images that were not trained on, saves the model with
its optimizer, loads it, goes on where it was, and leaves a picture of ten samples of each class.

    python examples/finetune_cvae.py --epochs 2 --images 6000
"""

import argparse

import keras
import tensorflow_datasets as tfds

import zoo


def scaled(image, label):
    return keras.ops.cast(image, "float32") / 255, label


def data(split, images):
    return tfds.load("fashion_mnist", split=split, as_supervised=True).take(images).map(scaled).cache()


def main():
    parser = argparse.ArgumentParser(description="Fine-tune cvae_mnist on Fashion-MNIST.")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=6000, help="how many training images")
    parser.add_argument("--output", default="clothes.png")
    arguments = parser.parse_args()

    train = data("train", arguments.images).shuffle(arguments.images, seed=0).batch(100)
    validation = data("test", 1000).batch(100)

    model = zoo.load("cvae_mnist")
    print("before:", model.evaluate(validation, verbose=0, return_dict=True))
    model.fit(train, validation_data=validation, epochs=arguments.epochs, verbose=2)

    model.save("cvae_clothes.keras")
    model = keras.saving.load_model("cvae_clothes.keras")
    model.fit(train, validation_data=validation, epochs=1, verbose=2)
    print("after:", model.evaluate(validation, verbose=0, return_dict=True))

    images = model.sample(100, seed=0)  # the classes in turn: a column for each
    rows = [keras.ops.concatenate(list(images[i : i + 10]), axis=1) for i in range(0, 100, 10)]
    keras.utils.save_img(arguments.output, keras.ops.concatenate(rows, axis=0))


if __name__ == "__main__":
    main()
