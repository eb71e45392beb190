"""From a finished run to a folder of the catalog: ``python -m zoo.publishing runs/NAME``, for those who maintain the zoo.

The model is measured, exported in every format, described by a card and a README, and renamed into
place; then ``models.config`` and the table in the project's README are written anew for every model
there is. With the name of a published model in place of a run, what is made from its Keras model is
made anew, without training.
"""

import importlib.metadata
import platform
import shutil
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

from zoo import catalog, datasets, evaluation, recipes, training
from zoo.export import calibration, saved_model, tflite
from zoo.inference.litert import LiteRT
from zoo.inference.methods import from_card
from zoo.loading import TFLITE, load
from zoo.utils import image_files
from zoo.utils.atomic import atomic_write

TABLE_START, TABLE_END = (
    "<!-- models: python -m zoo.publishing writes this table -->",
    "<!-- end of models -->",
)
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy")
INT8 = "litert-int8"
EXTRA = Path("1", "assets.extra")


def publish(run_dir: Path, root: Path, data_dir=None) -> Path:
    """Publishes the run of a named recipe below ``root`` and returns its folder.

    Raises:
        ValueError: where the run is not of the recipe that its name has today.
    """
    name = run_dir.name
    recipe, model = training.load(run_dir)
    recipe = of_today(name, recipe)
    round_weights(model)
    # What is shipped starts fine-tuning afresh, not at the end of a schedule; and not compiled in
    # the file, it is compiled with the defaults when it is loaded.
    model.compile()
    model.compiled = False
    card = catalog.Card(
        name=name,
        family=recipe.family,
        dataset=recipe.dataset,
        paper=recipe.paper,
        parameters=model.parameters,
        latent_dim=model.latent_dim,
        image_shape=model.image_shape,
        num_classes=model.num_classes,
        **model.description(),
        recipe=asdict(recipe) | training.outcome(recipe, run_dir),
        versions={"python": platform.python_version()}
        | {package: importlib.metadata.version(package) for package in PACKAGES},
        metrics=evaluation.evaluate(model, name, recipe, data_dir=data_dir),
        files={},
    )
    root.mkdir(exist_ok=True)
    with anew(root / name) as partial:
        (partial / EXTRA).mkdir(parents=True)
        model.save(partial / EXTRA / "model.keras")
        image_files.write(sample_sheet(model, recipe, data_dir), partial / "samples.png")
        finish(partial, card, model, recipe, data_dir)
    with atomic_write(root / catalog.CONFIG) as partial:
        partial.write_text(models_config(catalog.names(root)))
    return root / name


def renew(name: str, root: Path, data_dir=None) -> Path:
    """Exports a published model anew, and measures its int8 file and what its recipe measures but the card lacks.

    Raises:
        ValueError: where there is no such model, or it is not of the recipe that its name has
            today.
    """
    card, model = catalog.info(name), load(name)
    recipe = of_today(name, recipes.from_json(card.recipe))
    known = {metric["name"]: metric for metric in card.metrics}
    metrics = [
        known[metric]
        if metric in known
        else evaluation.evaluate(model, name, recipe, [metric], data_dir=data_dir)[0]
        for metric in recipe.metrics
    ]
    card = replace(card, recipe=card.recipe | asdict(recipe), metrics=metrics)
    with anew(root / name) as partial:
        (partial / EXTRA).mkdir(parents=True)
        for file in (EXTRA / "model.keras", "samples.png"):
            shutil.copy(root / name / file, partial / file)
        finish(partial, card, model, recipe, data_dir)
    return root / name


def round_weights(model) -> None:
    """Rounds weights to what float16 holds, so that the TF Lite file, which has no other numbers, answers as Keras does.

    Of a batch normalization TF Lite has but a factor, gamma / sqrt(variance + epsilon), and a term,
    beta - mean * factor: it is these that are rounded there.
    """
    for variable in model.weights:  # not the states of seed generators
        variable.assign(half(variable.numpy()))
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    for layer in (layer for network in networks for layer in network.layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (np.float64(weights) for weights in layer.get_weights())
            deviation = np.sqrt(variance + layer.epsilon)
            factor = half(gamma / deviation)
            layer.set_weights(
                [factor * deviation, half(beta - mean * factor) + mean * factor, mean, variance]
            )


def half(values):
    return np.float64(values.astype("float16"))


def of_today(name: str, recipe: recipes.Recipe) -> recipes.Recipe:
    """The recipe that a name has today, which may measure a model in other ways but not make another one.

    Raises:
        ValueError: where it does.
    """
    named = recipes.named(name)
    if replace(recipe, metrics=named.metrics, anchors=named.anchors) != named:
        raise ValueError(f"This model is not of the recipe that {name} has today: train it again.")
    return named


@contextmanager
def anew(folder: Path):
    """Gives a temporary sibling to write, which takes the folder's place."""
    old = folder.with_name(f".{folder.name}.old")
    with atomic_write(folder) as partial:
        yield partial
        if folder.exists():
            folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def finish(partial: Path, card: catalog.Card, model, recipe, data_dir) -> None:
    """Writes what is made from a model: SavedModel, TF Lite files, README, and the card, with what int8 costs."""
    saved_model.write(model, partial / "1")
    (partial / EXTRA / TFLITE["litert"]).write_bytes(tflite.convert(partial / "1", "float16"))
    path = partial / EXTRA / TFLITE[INT8]
    path.write_bytes(
        tflite.convert(partial / "1", "int8", calibration.samples(model, recipe, data_dir))
    )
    measured = evaluation.evaluate(
        from_card(card, LiteRT(path)), card.name, recipe, runtime=INT8, data_dir=data_dir
    )
    card = replace(card, metrics=card.metrics + measured)
    (partial / "README.md").write_text(readme(card), encoding="utf-8")
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    card = replace(
        card, files={path.relative_to(partial).as_posix(): catalog.describe(path) for path in files}
    )
    (partial / catalog.CARD).write_text(card.to_json(), encoding="utf-8")


def sample_sheet(model, recipe, data_dir):
    """A hundred samples: a column for each class, or a row for each of the patches of ten training images."""
    condition = None
    if recipe.condition == "patch":
        images, labels = datasets.load(recipe.dataset, recipe.split, data_dir)
        condition = recipe.condition_of(images[:10], labels).repeat(10, axis=0)
    return image_files.sheet(model.sample(100, seed=0, condition=condition), columns=10)


def readme(card: catalog.Card) -> str:
    """The page of a model, from its card."""
    rows = []
    for metric in card.metrics:
        anchor = metric["anchor"]
        published = f"{anchor['value']} ({anchor['source']})" if anchor else "–"
        value = f"{metric['value']:.2f} ± {metric['stderr']:.2f}"
        rows.append(
            f"| {metric['name']} | {value} | {published} | {metric['protocol']} | `{metric['command']}` |"
        )
    table = "\n".join(
        ["| metric | value | published | protocol | command |", "|---|---|---|---|---|", *rows]
    )
    minutes, kept, rule = (
        card.recipe["wall_clock_seconds"] / 60,
        card.recipe["kept"],
        card.recipe["best"],
    )
    choice = (
        f""" Kept as it was after epoch {kept["epoch"]}, of those measured every {rule["every"]} epochs
the one of the best {rule["metric"]} on the validation images {card.recipe["validation"]}, {kept["value"]:.2f}."""
        if kept
        else ""
    )
    return f"""# {card.name}

![samples](samples.png)

{card.family} on {card.dataset}, after {card.paper}. {card.parameters["total"]:,} parameters, of which the
generator has {card.parameters["generator"]:,}; latent_dim {card.latent_dim}. Trained for {card.recipe["epochs"]} epochs in
{minutes:.0f} minutes on 2 CPU cores.{choice}

{table}

A metric whose name ends in @litert-int8 was measured on model_int8.tflite; the metric without that ending is the Keras model's
by the same protocol.

```
zoo sample {card.name}{" --condition PICTURE.png" if card.condition else ""}
zoo info {card.name}
zoo train {card.name}
```
"""


def models_config(names) -> str:
    """TF Serving's ModelServerConfig, with base paths as they are in its container."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" }}\n'
        for name in names
    )
    return f"model_config_list {{\n{entries}}}\n"


def table(cards) -> str:
    """The README's table of models, from their cards."""
    rows = [
        "| model | parameters | trained for | metric | value | int8 | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        model = f"[{card.name}](saved_models/{card.name}) | {card.parameters['total']:,}"
        minutes = card.recipe["wall_clock_seconds"] / 60
        values = {
            metric["name"]: f"{metric['value']:.2f} ± {metric['stderr']:.2f}"
            for metric in card.metrics
        }
        for metric in card.recipe["metrics"]:
            anchor = card.recipe["anchors"].get(metric)
            published = f"{anchor['value']}" if anchor else "–"
            int8 = values.get(f"{metric}@{INT8}", "–")
            rows.append(
                f"| {model} | {minutes:.0f} min | {metric} | {values[metric]} | {int8} | {published} |"
            )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    for given in sys.argv[1:]:
        is_run = (Path(given) / training.RECIPE).is_file()
        print(
            publish(Path(given), Path("saved_models"))
            if is_run
            else renew(given, Path("saved_models"))
        )
    page = Path("README.md")
    before, start, rest = page.read_text(encoding="utf-8").partition(f"{TABLE_START}\n")
    _, end, after = rest.partition(TABLE_END)
    with atomic_write(page) as partial:
        partial.write_text(
            before + start + table(map(catalog.info, catalog.list_models())) + end + after,
            encoding="utf-8",
        )
