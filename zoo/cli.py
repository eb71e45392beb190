"""Command line: parses arguments, calls the library and prints text."""

import dataclasses
import importlib
import inspect
import json
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import click

from zoo import __version__, artifact, catalog, loading, recipes
from zoo.utils.dependencies import full_install_required
from zoo.utils.documents import document
from zoo.utils.numbers import duration, with_stderr


def labels_of(text: str, model: str, card: catalog.Card) -> list[int]:
    """Returns the labels of numbers, ranges and names with commas between them.

    Args:
        text: For example ``7``, ``0-9``, ``1,4`` or ``cats,dogs``. If names are numbers, numbers
            are names.
        model: Name or path of the model.
        card: Its card.
    """
    if not card.num_classes:
        raise click.UsageError(
            f"--labels must be left out, because {model} is not conditional on a label; received: "
            f"{text!r}."
        )
    class_names = card.class_names
    if text in class_names:
        return [class_names.index(text)]
    names_only = any(name.isdecimal() for name in class_names)
    labels = []
    for part in (part.strip() for part in text.split(",")):
        numbers = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if part in class_names:
            labels.append(class_names.index(part))
        elif numbers and not names_only:
            first, last = (int(number) for number in (numbers[1], numbers[2] or numbers[1]))
            labels += range(first, last + 1)
        else:
            kinds = [] if names_only else ["numbers (7, 0-9 or 1,4)"]
            kinds += [f"class names ({', '.join(class_names)})"] if class_names else []
            raise click.UsageError(f"--labels must be {' or '.join(kinds)}; received: {text!r}.")
    if not labels:
        raise click.UsageError(f"--labels must have the lower label first; received: {text!r}.")
    return labels


def condition_of(text: str | None, name: str, attributes: dict | None) -> dict | None:
    """Returns {attribute: name of a value} of a text such as ``glasses=1,hair=long``.

    Args:
        text: The text, or None.
        name: Name of the model, for the error.
        attributes: {attribute: names of its values} of the model, or None.
    """
    if text is None:
        return None
    if not attributes:
        raise click.UsageError(
            f"--condition must not be given for {name}, which is not conditional on attributes; "
            f"received: {text!r}."
        )
    pairs = [[side.strip() for side in part.split("=", 1)] for part in text.split(",")]
    # A pair without "=" has one side, and an attribute that is named twice leaves fewer names.
    if not all(len(pair) == 2 and all(pair) for pair in pairs) or len(dict(pairs)) < len(pairs):
        raise click.UsageError(
            "--condition must be ATTRIBUTE=VALUE, with commas between several, of the attributes "
            f"{catalog.described_attributes(attributes)}, each at most once; received: {text!r}."
        )
    return dict(pairs)


NAME = click.argument("name")
PATHS = (
    "NAME is a model of `zoo list`, the folder of a run or of an artifact, or a .keras file; "
    "./NAME is always a path."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(),
    help="Folder of tensorflow-datasets.  [default: $TFDS_DATA_DIR]",
)
LABELS = click.option("--labels", help="7, 0-9, 1,4 or names of classes; used in turn.")
SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    help="Seed of the first image; counted upwards.",
)
SETTINGS = ", ".join(
    field.name + (".KEY" if field.type is dict else "")
    for field in dataclasses.fields(recipes.Recipe)
)


def runtime_option(**settings):
    """Returns the option ``--runtime``."""
    return click.option("--runtime", type=click.Choice(artifact.RUNTIMES), **settings)


def described(*examples, paths=PATHS):
    """Adds the names that a command takes, and examples, to its help."""

    def decorate(function):
        lines = "\n".join(f"  {example}" for example in examples)
        parts = [inspect.cleandoc(function.__doc__ or ""), paths, f"\b\nExamples:\n{lines}"]
        function.__doc__ = "\n\n".join(filter(None, parts))
        return function

    return decorate


@click.group(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "max_content_width": 120,
    }
)
@click.version_option(__version__, message="zoo %(version)s")
def cli():
    """Pretrained generative models: list, sample, train, evaluate, publish, export, serve."""


@cli.command("list")
@click.argument("pattern", default="*")
@JSON
@described("zoo list", "zoo list 'cvae_*' --json", paths="")
def list_command(pattern, as_json):
    """List the trained models that match a glob PATTERN."""
    names = catalog.list_models(pattern)
    click.echo(json.dumps(names) if as_json else "".join(f"{name}\n" for name in names), nl=as_json)


@cli.command()
@NAME
@JSON
@described("zoo info cvae_mnist", "zoo info runs/mine --json")
def info(name, as_json):
    """Show the card of a model."""
    with quiet():
        card = loading.find(name).card
    if as_json:
        click.echo(card.to_json(), nl=False)
        return
    dataset = card.trained_on or "unknown data"
    latent = f", latent_dim {card.latent_dim}" if card.latent_dim else ""
    click.echo(f"{card.name}: {card.family} on {dataset}, images {card.image_shape}{latent}")
    if card.attributes:
        click.echo(f"attributes: {catalog.described_attributes(card.attributes)}")
    click.echo(f"paper: {card.paper or 'unknown'}")
    if card.parameters:
        parts = {part: f"{count:,}" for part, count in card.parameters.items()}
        total = parts.pop("total")
        of_parts = [f"of which the {part} has {count}" for part, count in parts.items()]
        click.echo(f"parameters: {', '.join([total, *of_parts])}")
    for metric in card.metrics:
        click.echo(metric_line(metric))


def metric_line(metric: dict) -> str:
    """Returns a line that describes a metric of a card."""
    anchor = metric["anchor"]
    published = f"; published: {anchor['value']} ({anchor['source']})" if anchor else ""
    value = with_stderr(metric["value"], metric["stderr"])
    return f"{metric['name']}: {value} ({metric['protocol']}; n = {metric['n']}){published}"


@cli.command()
@NAME
@click.option(
    "-n",
    "n",
    type=click.IntRange(1),
    help="Number of images.  [default: 16, or one for each label]",
)
@LABELS
@click.option(
    "--condition",
    metavar="PICTURE|ATTRIBUTE=VALUE,...",
    help="Picture that the model is conditional on, or values of attributes; attributes that are "
    "not given vary with the seed.",
)
@SEED
@click.option(
    "-o",
    "output",
    type=click.Path(dir_okay=False),
    help="A .png or .jpg file.  [default: NAME.png]",
)
@runtime_option(help="[default: litert, or keras where there is no TF Lite file]")
@described(
    "zoo sample cvae_mnist --labels 0-9 -o digits.png",
    "zoo sample runs/faces --condition glasses=1,hair=long",
    "zoo sample runs/mine -n 100 --seed 7",
)
def sample(name, n, labels, condition, seed, output, runtime):
    """Sample images from a model and write them to a picture."""
    from zoo.utils import image_files

    with quiet():
        stored = generative(name)
        card = stored.card
    if card.condition and not card.attributes:
        _check_picture(name, card.condition["shape"], condition)
    labels = labels_of(labels, name, card) if labels else None
    n = n or (len(labels) if labels else 16)
    output = Path(output or f"{stored.name}.png")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {output.parent} to write {output.name} to.")
    image_files.file_format(output)
    if card.attributes:
        condition = condition_of(condition, name, card.attributes)
    elif condition and card.condition:
        condition = image_files.read(condition, card.condition["shape"])
    if labels:
        labels = [labels[i % len(labels)] for i in range(n)]
    with quiet():
        images = stored.load(runtime or stored.preferred).sample(
            n, labels, seed=seed, condition=condition
        )
    image_files.write(image_files.sheet(images, columns=min(n, 10) if labels else None), output)
    click.echo(f"{n} images of {name} in {output}")


def generative(name) -> loading.StoredModel:
    """Finds a model that draws images."""
    stored = loading.find(name)
    if "sample" not in stored.card.signatures:
        raise click.UsageError(
            f"NAME must be a model that draws images; received: {name}, a {stored.card.family}."
        )
    return stored


def _check_picture(name, shape, condition):
    """Validates that the condition of a model is a picture file."""
    if len(shape) != 3:
        raise click.UsageError(
            f"NAME must be a model whose condition is a picture or attributes; received: {name}, "
            f"whose condition is a tensor of shape {tuple(shape)}. Use model.sample(n, "
            "condition=…) in Python."
        )
    height, width, _ = shape
    if not condition or not Path(condition).is_file():
        raise click.UsageError(
            f"--condition must be a picture of {width}x{height} pixels for {name}, which samples "
            f"the pixels around it; received: {condition or 'none'}."
        )


@cli.command()
@NAME
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM_OPTION]...")
@click.option("-n", "n", type=click.IntRange(1), required=True, help="Number of images.")
@click.option(
    "-o",
    "output",
    type=click.Path(file_okay=False),
    required=True,
    help="New folder, or the folder of an interrupted run, which is continued.",
)
@LABELS
@click.option(
    "--condition",
    metavar="ATTRIBUTE=VALUE,...",
    help="Values of attributes; those that are not given vary with the seed.",
)
@SEED
@click.option(
    "--shards",
    type=click.IntRange(1),
    help="Number of files.  [default: the smallest with at most 64 MiB in each file]",
)
@runtime_option(help="[default: litert, or keras where there is no TF Lite file]")
@described(
    "zoo generate cvae_mnist -n 1000000 -o digits",
    "zoo generate cvae_mnist -n 1000000 -o digits -- --direct_running_mode=multi_processing "
    "--direct_num_workers=2",
)
def generate(name, beam_options, n, output, labels, condition, seed, shards, runtime):
    """Write images as a data set that tfds.builder_from_directory reads.

    The images are sampled by a pipeline of Apache Beam, whose options follow after --. The same
    command continues an interrupted run.
    """
    with quiet() as stream:
        stored = generative(name)
        from zoo import generate as bulk

        bulk.generate(
            stored,
            n,
            output,
            labels=labels_of(labels, name, stored.card) if labels else None,
            condition=condition_of(condition, name, stored.card.attributes),
            seed=seed,
            runtime=runtime,
            shards=shards,
            beam_options=beam_options,
            progress=Progress(stream),
        )
    click.echo(f"{n} images of {name} in {output}")


@cli.command()
@click.argument("name", metavar="NAME|RECIPE.json")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Number of epochs, to which the recipe's cycles are scaled; with --resume, the total.",
)
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False),
    help="Folder of the run.  [default: runs/NAME]",
)
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint of the run.")
@DATA_DIR
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the recipe; VALUE is JSON or a word.",
)
@click.option("--dry-run", is_flag=True, help="Print the recipe in JSON and train nothing.")
@click.option(
    "--data",
    metavar="FOLDER|tfds:NAME",
    help="Train on these pictures. Sub-folders are classes.",
)
@click.option(
    "--size", type=click.IntRange(4, 1024), help="Height and width of the images of --data."
)
@click.option(
    "--channels", type=click.Choice(["1", "3"]), help="Grey or coloured images of --data."
)
@click.option("--pad", is_flag=True, help="Pad the pictures of --data instead of cropping them.")
@click.option("--unconditional", is_flag=True, help="Train without classes.")
@click.option("--strict", is_flag=True, help="Stop at a picture that cannot be read.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, max=1e5, min_open=True),
    help="Time of the training. The number of steps is chosen to fit.",
)
@click.option(
    "--from", "start", metavar="MODEL", help="Start from the weights of a model, by name or path."
)
@click.option(
    "--strategy",
    type=click.Choice(["mirrored", "multi-worker"]),
    help="Divide each batch among all GPUs of this machine, or among the workers that the "
    "environment variable TF_CONFIG or an indexed Job of Kubernetes describes.",
)
@described(
    "zoo train dcgan --data pictures/",
    "zoo train vae_mnist --data tfds:kmnist",
    "zoo train cvae_mnist",
    "zoo train cvae_mnist --dry-run",
    "zoo train mine.json --epochs 5",
    "zoo train cvae_mnist --resume --epochs 60",
    "zoo train vae_mnist --set batch_size=100 --set model.hidden=[64] --run-dir runs/small",
    paths=f"Keys of --set: {SETTINGS}.  `python -m pydoc zoo.recipes.Recipe` describes them; "
    "model.KEY is an argument of the class in zoo.models.",
)
def train(
    name,
    epochs,
    run_dir,
    resume,
    data_dir,
    settings,
    dry_run,
    data,
    minutes,
    start,
    strategy,
    **pictures,
):
    """Train a model by a named recipe, by a recipe in a JSON file, or on your own pictures.

    The named models of `zoo list` have recipes of the same names. With --data a family of models is
    trained with settings that suit the pictures: gan, dcgan, vae, cvae, realnvp or glow; or a
    recipe on other pictures than its own. A tenth of the pictures is held out.

    With --resume a run continues with its own recipe, from its last checkpoint. More --epochs than
    the recipe has extend the run, finished or not: another cycle follows, with the learning rate of
    the last one.
    """
    started = time.monotonic()
    named = recipe_of(name, data)
    _check_options(named is None and not resume, data, resume, start, pictures)
    if minutes:
        _check_minutes(epochs or resume or dry_run, strategy)
    run_dir = Path(run_dir or _default_run(Path(name).stem, data))
    if resume:
        family = named.family if named else recipes.FAMILIES[name].name
        recipe = continued(family, run_dir, epochs, settings, data)
    elif not dry_run:
        _check_new(run_dir)
    strategy = None if dry_run else started_strategy(strategy)
    if not resume:
        recipe = _on_pictures(named or name, data, data_dir, pictures) if data else named
        recipe = changed(dataclasses.replace(recipe, start=start or recipe.start), settings)
        if epochs:
            recipe = recipe.scaled(epochs)
    if dry_run:
        click.echo(recipe.to_json(), nl=False)
        return
    limit = (minutes, started) if minutes else None
    run_training(recipe, run_dir, resume=resume, limit=limit, data_dir=data_dir, strategy=strategy)


def recipe_of(name, data):
    """Returns the recipe of a name or in a file, or None if the name is that of a family."""
    if name in recipes.FAMILIES:
        return None
    if name.endswith(".json"):
        return recipes.read(name)
    return recipes.named(name, recipes.FAMILIES if data else ())


def run_training(recipe, run_dir, *, strategy, limit, **settings):
    """Trains a recipe and prints the path of the model. Of several workers only the chief prints.

    Args:
        recipe: The recipe.
        run_dir: Folder of the run.
        strategy: Result of ``started_strategy``.
        limit: Arguments of ``zoo.training.Limit``, or None.
        **settings: As in ``zoo.training.train``.
    """
    with quiet():
        from zoo import training

        run, model = training.Run(run_dir), None
        if recipe.start and not run.checkpoint.exists():
            model = loading.find(recipe.start).load("keras")
    is_chief = strategy is None or training.strategies.is_chief(strategy)
    verbose = 1 if sys.stdout.isatty() else 2
    training.train(
        recipe,
        run_dir,
        start=model,
        strategy=strategy,
        limit=training.Limit(*limit) if limit else None,
        verbose=verbose if is_chief else 0,
        **settings,
    )
    if is_chief:
        click.echo(f"Trained: {run.model}")


def started_strategy(name):
    """Returns the strategy of a name, or None.

    Several workers wait for each other here, so that none writes to the folder of the run before
    all have looked into it.
    """
    if name is None:
        return None
    with quiet():
        from zoo.training import strategies
    if name != "multi-worker":
        with quiet():
            return strategies.get(name)
    config = strategies.cluster(os.environ)
    addresses = ", ".join(strategies.addresses(config["cluster"]))
    click.echo(
        f"{config['task']['type']} {config['task']['index']} waits for the workers {addresses}",
        err=True,
    )
    # TensorFlow waits outside of Python, where the handler of Python would not run.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with quiet():
            return strategies.get(name)
    finally:
        signal.signal(signal.SIGINT, interrupt)
        # The handler that TensorFlow has set here lets the process continue.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _check_minutes(others, strategy):
    """Validates that no option contradicts ``--minutes``."""
    if others:
        raise click.UsageError("--minutes cannot be combined with --epochs, --resume or --dry-run.")
    if strategy == "multi-worker":
        raise click.UsageError(
            "--minutes cannot be combined with --strategy multi-worker, because the clocks of the "
            "workers differ."
        )


def _check_new(run_dir):
    """Checks that a folder holds no run, before anything is read."""
    if (run_dir / artifact.RECIPE).exists():
        raise FileExistsError(
            f"{run_dir} holds a run: continue it with --resume, or name another --run-dir."
        )


def _check_options(needs_data, data, resume, start, pictures):
    """Validates that options of the training fit each other."""
    given = [f"--{option}" for option, value in pictures.items() if value]
    if data is None and (needs_data or given):
        raise click.UsageError(
            "--data FOLDER or tfds:NAME is required for a family of models and for --size, "
            "--channels, --pad, --unconditional and --strict; received: no --data."
        )
    if resume and (given or start):
        raise click.UsageError(
            "--resume continues a run with its own settings; leave out "
            f"{', '.join([*given, *(['--from'] if start else [])])}."
        )


def _default_run(name, data):
    """Returns the folder of a run: that of the recipe's name, or that of the pictures' name."""
    if data is not None:
        last = recipes.data_set_of(data).rpartition(catalog.FOLDER)[2]
        name = Path(last).name if Path(last).is_absolute() else re.sub(r"[/:]", "_", last)
    if not name:
        raise click.UsageError(f"--run-dir must be given for --data {data}.")
    return Path("runs", name)


def _on_pictures(chosen, given, data_dir, pictures):
    """Returns a recipe on pictures of the user, and prints a description of them."""
    pictures["channels"] = int(pictures["channels"]) if pictures["channels"] else None
    with quiet():
        importlib.import_module("zoo.data")  # TensorFlow starts.
    recipe, source = recipes.on_pictures(chosen, given, data_dir, **pictures)
    height, width, channels = source.image_shape
    classes, attributes = recipe.pictures.get("class_names"), recipe.model.get("attributes")
    conditions = ""
    if classes:
        conditions = f", of {len(classes)} classes: {', '.join(classes[:10])}"
    elif attributes:
        conditions = f", with the attributes {', '.join(attributes)}"
    click.echo(
        f"{given}: {len(source)} {'grey' if channels == 1 else 'coloured'} images of "
        f"{width}x{height} pixels for training{conditions}.",
        err=True,
    )
    return recipe


def continued(family, run_dir, epochs, settings, data):
    """Returns the recipe with which a run continues, and prints the progress of the run.

    Raises:
        ValueError: If the run is of another family or on other data.
    """
    with quiet():
        from zoo import training
    run = training.Run(run_dir)
    recipe = changed(run.read_recipe(), settings)
    run.check_continues(recipe)
    if recipe.family != family:
        raise ValueError(
            f"family must be {recipe.family}, that of the run in {run.folder}; received: {family}."
        )
    if data and recipes.data_set_of(data) != recipe.dataset:
        raise ValueError(
            f"--data must be {recipe.dataset}, the data of the run in {run.folder}; received: "
            f"{data}. Train another run with another --run-dir."
        )
    if epochs:
        recipe = training.extended(recipe, epochs)
    done = len(run.history())
    if done < recipe.epochs:
        click.echo(
            f"{run.folder}: {recipe.family} on {recipe.dataset}, {done} of {recipe.epochs} epochs "
            "are done."
        )
    else:
        click.echo(
            f"Nothing is left to train in {run.folder}: its {done} epochs are done. More --epochs "
            "extend it."
        )
    return recipe


def changed(recipe, settings):
    """Returns a recipe with ``key=value`` settings; ``model.key`` is an argument of the model."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set must be KEY=VALUE; received: {setting!r}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        recipe = with_setting(recipe, key, value)
    return recipe


def with_setting(recipe, key, value):
    """Returns a recipe with another value of one field, or of one key of a field."""
    part, _, argument = key.partition(".")
    known = [field.name for field in dataclasses.fields(recipe)]
    present = getattr(recipe, key, None)
    if argument and isinstance(getattr(recipe, part, None), dict):
        part_with = getattr(recipe, part) | {argument: value}
        return dataclasses.replace(recipe, **{part: part_with})
    if isinstance(present, dict):
        raise click.UsageError(f"{key} has parts: write {key}.KEY=VALUE.")
    if key not in known:
        raise click.UsageError(f"A recipe has no setting {key!r}{catalog.nearest(key, known)}.")
    return dataclasses.replace(recipe, **{key: value})


@cli.command()
@NAME
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Only this metric, for example nll or frechet, of the recipe or another one; may be "
    "repeated.",
)
@click.option(
    "--data",
    metavar="FOLDER|tfds:NAME",
    help="Other test images: a folder of pictures, or a data set of tensorflow-datasets.  "
    "[default: those of the model's recipe]",
)
@click.option(
    "--features",
    metavar="MODEL",
    help="Classifier whose features are compared, by name or path.  [default: the one that is "
    "shipped for the data set]",
)
@runtime_option(default="keras")
@JSON
@click.option(
    "--images", type=click.IntRange(2), help="Only the first so many test images.  [default: all]"
)
@DATA_DIR
@described(
    "zoo evaluate cvae_mnist",
    "zoo evaluate cvae_mnist --runtime litert-int8 --json",
    "zoo evaluate runs/mine --metric nll --images 500",
    "zoo evaluate mine.keras --data tfds:kmnist --features runs/classifier_kmnist",
)
def evaluate(name, metrics, data, features, runtime, as_json, images, data_dir):
    """Measure a model on test images by the metrics of its recipe.

    The progress on standard error includes an estimate of the time left.
    """
    with quiet():
        stored = loading.find(name)
        model = stored.load(runtime)
        from zoo import evaluation

        classifier = loading.classifier(features) if features else None
        recipe = stored.recipe_on(recipes.data_set_of(data)) if data else stored.recipe
        splits = evaluation.Splits.of_recipe(
            recipe, data_dir, features=classifier, features_name=features
        )
    options = [f"--{key}={value}" for key, value in (("data", data), ("features", features))]
    values = evaluation.evaluate(
        model,
        name,
        evaluation.choose(name, recipe.metrics, metrics or None, model, splits, runtime),
        splits,
        anchors=None if data else recipe.anchors,
        runtime=runtime,
        images=images,
        options=[option for option in options if not option.endswith("=None")],
        progress=Progress(),
    )
    if as_json:
        click.echo(document({"name": name, "metrics": values}))
        return
    for metric in values:
        click.echo(metric_line(metric))


class Progress:
    """Reports the progress of an evaluation and an estimate of the time left.

    On a terminal it is one line that is rewritten. Elsewhere it is plain lines: the first two
    reports, and then one for each tenth.

    Args:
        stream: Where the reports are written. Defaults to standard error.
    """

    def __init__(self, stream=None):
        self._reports, self._stream = {}, stream

    def __call__(self, metric: str, done: int, total: int) -> None:
        """Reports that a number of a metric's parts is done."""
        reports = self._reports.setdefault(metric, [])
        reports.append((time.monotonic(), done))
        text = f"{metric}: {done} of {total}"
        (start, at_start), (now, _) = reports[0], reports[-1]
        if at_start < done < total:  # The first report is left out, because it contains the start.
            text += f", about {duration((total - done) * (now - start) / (done - at_start))} left"
        stream = self._stream or sys.stderr
        if stream.isatty():
            click.echo(f"\r{text}\033[K", nl=done == total, file=stream)
        elif len(reports) <= 2 or done * 10 // total > reports[-2][1] * 10 // total:
            click.echo(text, file=stream)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--quick",
    is_flag=True,
    help="Only metrics that are means over images, on a tenth of the images; write no file.",
)
@click.option(
    "-o",
    "output",
    type=click.Path(dir_okay=False),
    default="RESULTS.md",
    help="File of the table.",
)
@DATA_DIR
@described(
    "zoo reproduce",
    "zoo reproduce --quick",
    "zoo reproduce cvae_mnist -o cvae.md",
    paths="NAME is a model of `zoo list`, an evaluation model such as evaluation/classifier_mnist, "
    "or the folder of an artifact.",
)
def reproduce(names, quick, output, data_dir):
    """Measure every model, or those named, again and compare each value with the card's.

    The exit status is 1 if a value differs by more than three standard errors. The table is written
    after each model; rows of other models in the file are kept.
    """
    with quiet():
        from zoo import reproduce as again
    if not quick:
        again.read_rows(Path(output))
    results, progress = [], Progress()
    for name in names or catalog.all_names():
        for result in again.reproduce(name, quick, data_dir, progress):
            results.append(result)
            click.echo(result.sentence())
        if not quick:
            again.write(results, Path(output))
    different = sum(not result.agrees for result in results)
    click.echo(f"{len(results)} metrics, of which {different} differ from their cards.")
    sys.exit(1 if different else 0)


FORMATS = {
    "saved_model": None,
    "tflite": "float32",
    "tflite-float16": "float16",
    "tflite-int8": "int8",
}


@cli.command()
@NAME
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), required=True)
@click.option(
    "-o",
    "output",
    type=click.Path(),
    required=True,
    help="Base path for TF Serving, or a TF Lite file.",
)
@DATA_DIR
@described(
    "zoo export cvae_mnist --format saved_model -o served/cvae_mnist",
    "zoo export mine.keras --format tflite-float16 -o mine.tflite",
)
def export(name, format_, output, data_dir):
    """Write a model as a new version below a base path of TF Serving, or as a TF Lite file.

    An int8 file may need the first training images for its calibration.
    """
    with quiet():
        stored = loading.find(name)
        model = stored.load("keras")
        from zoo import export

    if format_ == "saved_model":
        written = export.export_saved_model(model, output)
    else:
        from zoo.export import calibration

        precision, samples = FORMATS[format_], None
        if precision == "int8":
            needed = model.calibrates_on_images
            recipe = stored.recipe if needed else None
            samples = calibration.samples(
                model, recipe.source(recipe.split, data_dir) if needed else None
            )
        with quiet():
            written = export.export_tflite(model, output, precision, samples)
    click.echo(f"Written: {written}")


@cli.command()
@NAME
@click.option(
    "-o",
    "output",
    type=click.Path(file_okay=False),
    help="Folder of the artifact.  [default: the first folder of $ZOO_PATH and the model's name]",
)
@click.option(
    "--card-only",
    is_flag=True,
    help="Measure the metrics that the card of an artifact lacks, and write its card and page "
    "alone.",
)
@DATA_DIR
@described("zoo publish runs/mine -o models/mine", "ZOO_PATH=models zoo publish mine.keras")
def publish(name, output, card_only, data_dir):
    """Write a model as an artifact with card, SavedModel, TF Lite files and sample sheet.

    In the folder of an artifact, the next version is written. A model that has a recipe is measured
    by its metrics and has an int8 file; both need the recipe's data set.
    """
    with quiet():
        stored = loading.find(name)
        card = stored.card
        from zoo import evaluation, publishing

    images, metrics = None, {}
    recipe = card.recipe
    if recipe["dataset"]:
        today = recipes.with_current_metrics(stored.name, stored.recipe)
        images, metrics = evaluation.Splits.of_recipe(today, data_dir), today.metrics
        recipe = recipe | dataclasses.asdict(today)
    if card_only:
        update_card(stored, recipe, images, metrics)
        return
    folder = Path(output) if output else default_folder(stored.name)
    with quiet():
        model = stored.load("keras")
        new = publishing.card_of(model, folder.resolve().name, recipe)
    known = [metric for metric in card.metrics if "@" not in metric["name"]]
    with quiet() as stream:
        settings = {
            "command_name": catalog.name_of(folder) or str(folder),
            "progress": Progress(stream),
        }
        card = dataclasses.replace(new, metrics=known)
        publishing.publish_with_card(model, card, folder, images, metrics, **settings)
    note = "" if images else " It has no int8 file, because there is no recipe that names its data."
    click.echo(f"Published: {folder}.{note}")


def update_card(stored, recipe, images, metrics):
    """Updates the card and the page of an artifact."""
    from zoo import publishing

    if not isinstance(stored, loading.Artifact) or images is None:
        raise ValueError(
            "--card-only needs an artifact with a recipe, which names its data; received: "
            f"{stored.given}."
        )
    with quiet() as stream:
        described = {"recipe": recipe, "tags": stored.load("keras").description()["tags"]}
        publishing.update_card(
            stored.path,
            dataclasses.replace(stored.card, **described),
            stored.load,
            images,
            metrics,
            command_name=catalog.name_of(stored.path) or str(stored.path),
            progress=Progress(stream),
        )
    click.echo(f"Updated: {stored.path}.")


def default_folder(name) -> Path:
    """Returns the folder of a model in the first folder of ``ZOO_PATH``."""
    first, *others = catalog.roots()
    if not others:
        raise click.UsageError(
            "-o must name the folder of the artifact where ZOO_PATH is not set; received: nothing."
        )
    return first / name


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 stands for all addresses of the machine.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    help="Port to listen on; 0 chooses a free one.",
)
@described("zoo serve", "zoo serve cvae_mnist runs/mine --port 8080")
def serve(names, host, port):
    """Serve every model, or those named, over HTTP with the REST API of TF Serving.

    The page at / lists the models and shows an example request.
    """
    # Until the server handles the signal, it is an exception, which lets the folder be removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="zoo-serve-") as folder:
        with quiet():
            artifacts = loading.artifacts(names or catalog.list_models(), folder)
            from zoo import serving
        served = ", ".join(artifacts)
        serving.serve(
            artifacts,
            host,
            port,
            lambda at: click.echo(f"Serving {served} on {serving.url(host, at)}"),
        )


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@JSON
@described(
    "zoo verify",
    "zoo verify cvae_mnist --json",
    paths="NAME is a model of `zoo list` or the folder of an artifact; ./NAME is always a path.",
)
def verify(names, as_json):
    """Compare the files of every model, or of those named, with their cards."""
    models = [loading.find(name) for name in names]
    found = (
        [problem for model in models for problem in model.problems()]
        if names
        else catalog.all_problems()
    )
    if as_json:
        click.echo(document({"ok": not found, "problems": found}))
    else:
        click.echo(
            "\n".join(found)
            or f"Verified {len(names or catalog.all_names())}: all files match their cards."
        )
    sys.exit(1 if found else 0)


@contextmanager
def quiet():
    """Hides the messages that TensorFlow and LiteRT print when they start and convert models.

    A log level has no effect on them. Gives the stream that standard error was.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        with open(kept, "w", closefd=False) as stream:
            yield stream
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main(arguments=None) -> None:
    """Runs the command line; a user's error is printed as one line on standard error."""
    # A warning is one line too, without the line of the code. It is printed once, although a
    # command may read a damaged picture several times.
    warnings.formatwarning = lambda message, *_, **__: f"zoo: {message}\n"
    warnings.filterwarnings("once", category=UserWarning)
    try:
        with full_install_required():
            sys.exit(cli.main(arguments, prog_name="zoo", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        fail(error.format_message(), error.exit_code)
    except (catalog.DamagedFileError, FloatingPointError, OSError, ModuleNotFoundError) as error:
        fail(str(error), 1)
    except ValueError as error:
        fail(str(error), 2)
    except (click.Abort, KeyboardInterrupt):
        fail("Stopped.", 130)


def fail(message: str, status: int) -> None:
    """Prints an error and exits."""
    click.echo(f"zoo: {' '.join(message.split())}", err=True)
    sys.exit(status)
