"""Fine-tunes a VAE of digits on images of clothes.

``cvae_mnist`` has learned an encoder and a decoder of 28x28 images with a label. This script
continues its training on Fashion-MNIST and evaluates the loss (the negative bound) on test images.
It saves the model with its optimizer, loads it, trains it for one more epoch, and writes a picture
with ten samples of each class.

    python examples/finetune_cvae.py --epochs 4

With all 60,000 images the loss falls from 1048 nats to about 239, and each column of the picture
shows one kind of clothing, slightly blurred. After two epochs the shapes are recognizable. With a
tenth of the images the samples are blobs in the shape of digits.
"""

import argparse

import keras

import zoo
from zoo.utils import image_files

BATCH = 100
# Number of training steps after which the samples look like clothes.
ENOUGH_STEPS = 1200


def first(n, dataset, split):
    """Returns the first n images of a split, float32 in [0, 1], and their labels."""
    return zoo.data.tfds(dataset, split).first(n)


def main():
    """Fine-tunes, saves, loads and samples the model."""
    parser = argparse.ArgumentParser(description="Fine-tune cvae_mnist on Fashion-MNIST.")
    parser.add_argument(
        "--epochs", type=int, default=4, help="epochs before the model is saved  [4]"
    )
    parser.add_argument(
        "--images", type=int, default=60000, help="number of training images  [60000]"
    )
    parser.add_argument(
        "--output", default="clothes.png", help="name of the picture  [clothes.png]"
    )
    arguments = parser.parse_args()

    try:
        images, labels = first(arguments.images, "fashion_mnist", "train")
        validation = first(1000, "fashion_mnist", "test")
    except FileNotFoundError as error:
        parser.error(str(error))
    steps = arguments.epochs * len(images) // BATCH
    print(f"{steps} steps of {BATCH} images.")
    if steps < ENOUGH_STEPS:
        print(f"That is few: below {ENOUGH_STEPS} steps expect blobs in the shape of digits.")

    model = zoo.load("cvae_mnist")
    print("before:", model.evaluate(*validation, verbose=0, return_dict=True))
    settings = {"batch_size": BATCH, "validation_data": validation, "verbose": 2}
    model.fit(images, labels, epochs=arguments.epochs, **settings)

    model.save("cvae_clothes.keras")
    model = keras.saving.load_model("cvae_clothes.keras")
    model.fit(images, labels, epochs=1, **settings)
    print("after:", model.evaluate(*validation, verbose=0, return_dict=True))

    samples = model.sample(100, seed=0)  # Labels 0 to 9 in turn, so that each column is one class.
    image_files.write(image_files.sheet(samples, columns=10), arguments.output)
    print(f"Written: cvae_clothes.keras, {arguments.output}")


if __name__ == "__main__":
    main()
