"""The command line: arguments in, the library's functions, text out."""

import dataclasses
import inspect
import json
import math
import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import click

from zoo import __version__, catalog, loading, recipes
from zoo.utils.dependencies import full_install_required


class Labels(click.ParamType):
    """``7``, ``0-9`` or ``1,4``: numbers and ranges with commas between them."""

    name = "labels"

    def convert(self, value, param, ctx):
        numbers = []
        for part in value.split(","):
            first, _, last = part.partition("-")
            if not first.isdecimal() or not (last or first).isdecimal():
                self.fail(f"{value!r} is not a list of labels: write 7, 0-9 or 1,4.", param, ctx)
            numbers += range(int(first), int(last or first) + 1)
        if not numbers:
            self.fail(f"{value!r} is an empty range: write the lower label first.", param, ctx)
        return numbers


NAME = click.argument("name")
PATHS = "NAME is a model of `zoo list`, the folder of a run or of an artifact, or a .keras file; ./NAME is always a path."
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(),
    help="Folder of tensorflow-datasets.  [default: $TFDS_DATA_DIR]",
)
SETTINGS = ", ".join(
    field.name + (".KEY" if field.type is dict else "")
    for field in dataclasses.fields(recipes.Recipe)
)


def runtime_option(**settings):
    return click.option("--runtime", type=click.Choice(loading.RUNTIMES), **settings)


def described(*examples, paths=PATHS):
    """Adds to a command's help which names it takes, and examples."""

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
    """Pretrained generative models: list, look at, sample, train, measure, export, serve."""


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
    dataset = card.dataset or "unknown data"
    click.echo(
        f"{card.name}: {card.family} on {dataset}, images {card.image_shape}, latent_dim {card.latent_dim}"
    )
    click.echo(f"paper: {card.paper or 'unknown'}")
    if card.parameters:
        parts = {part: f"{count:,}" for part, count in card.parameters.items()}
        click.echo(f"parameters: {parts['total']}, of which the generator has {parts['generator']}")
    for metric in card.metrics:
        click.echo(metric_line(metric))


def metric_line(metric: dict) -> str:
    anchor = metric["anchor"]
    published = f"; published: {anchor['value']} ({anchor['source']})" if anchor else ""
    value = f"{metric['value']:.2f} ± {metric['stderr']:.2f}"
    return f"{metric['name']}: {value} ({metric['protocol']}; n = {metric['n']}){published}"


@cli.command()
@NAME
@click.option(
    "-n", "n", type=click.IntRange(1), help="Number of images.  [default: 16, or one a label]"
)
@click.option("--labels", type=Labels(), help="7, 0-9 or 1,4; taken in turn.")
@click.option(
    "--condition",
    type=click.Path(exists=True, dir_okay=False),
    help="Picture that a model is conditioned on.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    help="Seed of the first image; counted upwards.",
)
@click.option(
    "-o",
    "output",
    type=click.Path(dir_okay=False),
    help="A .png or .jpg file.  [default: NAME.png]",
)
@runtime_option(help="[default: litert, or keras where there is no TF Lite file]")
@described(
    "zoo sample cvae_mnist --labels 0-9 -o digits.png", "zoo sample runs/mine -n 100 --seed 7"
)
def sample(name, n, labels, condition, seed, output, runtime):
    """Draw images from a model into a picture."""
    from zoo.utils import image_files

    with quiet():
        stored = loading.find(name)
        card = stored.card
    if card.condition and not condition:
        height, width, _ = card.condition["shape"]
        raise click.UsageError(
            f"{name} draws around a picture: give one of {width}x{height} pixels with --condition."
        )
    n = n or (len(labels) if labels else 16)
    output = Path(output or f"{stored.name}.png")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {output.parent} to write {output.name} to.")
    image_files.file_format(output)
    if condition and card.condition:
        condition = image_files.read(condition, card.condition["shape"])
    if labels:
        labels = [labels[i % len(labels)] for i in range(n)]
    with quiet():
        images = stored.load(runtime or stored.preferred).sample(
            n, labels, seed=seed, condition=condition
        )
    image_files.write(image_files.sheet(images, columns=min(n, 10) if labels else None), output)
    click.echo(f"{n} images of {name} in {output}")


@cli.command()
@NAME
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="One cycle of so many, instead of the recipe's; with --resume the total.",
)
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False),
    help="Directory of the run.  [default: runs/NAME]",
)
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@DATA_DIR
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another setting of the recipe, as JSON or a word.",
)
@described(
    "zoo train cvae_mnist",
    "zoo train cvae_mnist --resume --epochs 60",
    "zoo train vae_mnist --epochs 5 --set batch_size=100 --set model.hidden=[64] --run-dir runs/small",
    paths=f"Keys of --set: {SETTINGS}.  `python -m pydoc zoo.recipes.Recipe` describes them, and "
    "`zoo info NAME --json` shows their values; model.KEY is an argument of the class in zoo.models.",
)
def train(name, epochs, run_dir, resume, data_dir, settings):
    """Train a named model by its recipe; `zoo list` has the names.

    With --resume a run goes on with its own recipe, from its last checkpoint. More --epochs than
    the recipe has extend the run, finished or not: another cycle follows, with the learning rate of
    the last one.
    """
    run_dir, recipe = Path(run_dir or Path("runs") / name), recipes.named(name)
    if resume:
        recipe = continued(recipe, run_dir, epochs, settings)
    else:
        recipe = changed(recipe, settings)
        if epochs:
            recipe = dataclasses.replace(recipe, cycles=[[epochs, *recipe.cycles[0][1:]]])
    with quiet():
        from zoo import training

    training.train(
        recipe, run_dir, resume=resume, data_dir=data_dir, verbose=1 if sys.stdout.isatty() else 2
    )
    click.echo(f"Trained: {run_dir / training.MODEL}")


def continued(named, run_dir, epochs, settings):
    """The recipe with which a run goes on; says how far the run is.

    Raises:
        ValueError: where the run is of another family than the named recipe.
    """
    with quiet():
        from zoo import training
    before = training.read_recipe(run_dir)
    recipe = changed(before, settings)
    training.check_continues(before, recipe, run_dir)
    if recipe.family != named.family:
        raise ValueError(
            f"family of the run in {run_dir} is {recipe.family}; received the name of a {named.family}."
        )
    if epochs:
        recipe = training.extended(recipe, epochs)
    done = len(training.history(run_dir))
    if done < recipe.epochs:
        click.echo(
            f"{run_dir}: {recipe.family} on {recipe.dataset}, {done} of {recipe.epochs} epochs are done."
        )
    else:
        click.echo(
            f"Nothing is left to train in {run_dir}: its {done} epochs are done. More --epochs extend it."
        )
    return recipe


def changed(recipe, settings):
    """A recipe with ``key=value`` settings in place of its own; ``model.key`` goes to the model's constructor."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes KEY=VALUE, but it was given {setting!r}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        part, _, argument = key.partition(".")
        known = [field.name for field in dataclasses.fields(recipe)]
        present = getattr(recipe, key, None)
        if argument and isinstance(getattr(recipe, part, None), dict):
            recipe = dataclasses.replace(
                recipe, **{part: getattr(recipe, part) | {argument: value}}
            )
        elif key in known and not isinstance(present, dict):
            recipe = dataclasses.replace(recipe, **{key: value})
        elif isinstance(present, dict):
            raise click.UsageError(f"{key} has parts: write {key}.KEY=VALUE.")
        else:
            raise click.UsageError(f"A recipe has no setting {key!r}{catalog.nearest(key, known)}.")
    return recipe


@cli.command()
@NAME
@click.option("--metric", "metrics", multiple=True, help="Only this metric; may be repeated.")
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
)
def evaluate(name, metrics, runtime, as_json, images, data_dir):
    """Measure a model on the test set by the metrics of its recipe.

    The progress on standard error says about how long the rest takes.
    """
    with quiet():
        stored = loading.find(name)
        model, recipe = stored.load(runtime), stored.recipe
        from zoo import evaluation

    settings = {"runtime": runtime, "images": images, "data_dir": data_dir, "progress": Progress()}
    values = evaluation.evaluate(model, name, recipe, metrics or None, **settings)
    if as_json:
        click.echo(document({"name": name, "metrics": values}))
        return
    for metric in values:
        click.echo(metric_line(metric))


def document(value) -> str:
    """One JSON document; numbers that JSON does not have, NaN and the infinities, become null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
    return json.dumps(finite, indent=1, ensure_ascii=False)


class Progress:
    """Reports how far an evaluation is and about how long the rest takes.

    A line that counts up on a terminal; elsewhere plain lines: the first two reports, and then one
    at each tenth.
    """

    def __init__(self):
        self._reports = {}

    def __call__(self, metric: str, done: int, total: int) -> None:
        reports = self._reports.setdefault(metric, [])
        reports.append((time.monotonic(), done))
        text = f"{metric}: {done} of {total}"
        (start, at_start), (now, _) = reports[0], reports[-1]
        if at_start < done < total:  # The first report is left out, because it contains the start.
            text += f", about {duration((total - done) * (now - start) / (done - at_start))} left"
        if sys.stderr.isatty():
            click.echo(f"\r{text}\033[K", nl=done == total, err=True)
        elif len(reports) <= 2 or done * 10 // total > reports[-2][1] * 10 // total:
            click.echo(text, err=True)


def duration(seconds: float) -> str:
    """A time in the unit that suits it, at least a second."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


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

    For int8 a variational model is shown the first images that it was trained on.
    """
    with quiet():
        stored = loading.find(name)
        model = stored.load("keras")
        from zoo import export

    if format_ == "saved_model":
        written = export.publish_version(model, output)
    else:
        from zoo.export import calibration

        precision = FORMATS[format_]
        samples = (
            calibration.samples(model, stored.recipe, data_dir) if precision == "int8" else None
        )
        with quiet():
            written = export.write_tflite(model, output, precision, samples)
    click.echo(f"Written: {written}")


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 is every one that the machine has.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    help="Port to listen on; 0 takes a free one.",
)
@described("zoo serve", "zoo serve cvae_mnist runs/mine --port 8080")
def serve(names, host, port):
    """Serve every model, or those named, over HTTP as TF Serving does.

    The page at / shows the models and how to ask for an image.
    """
    # Until the server takes the signal, it is an exception, which lets the folder be removed.
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
            or f"{len(names or catalog.list_models())} models, every file as its card says."
        )
    sys.exit(1 if found else 0)


@contextmanager
def quiet():
    """Keeps off standard error what TensorFlow and LiteRT say of the machine while they start, before a log level counts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main(arguments=None) -> None:
    """Runs the command line; a user's error is one line on standard error."""
    try:
        with full_install_required():
            sys.exit(cli.main(arguments, prog_name="zoo", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        fail(error.format_message(), error.exit_code)
    except (catalog.DamagedFileError, OSError, ModuleNotFoundError) as error:
        fail(str(error), 1)
    except ValueError as error:
        fail(str(error), 2)
    except (click.Abort, KeyboardInterrupt):
        fail("Stopped.", 130)


def fail(message: str, status: int) -> None:
    click.echo(f"zoo: {' '.join(message.split())}", err=True)
    sys.exit(status)
