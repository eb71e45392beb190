"""The command line: arguments in, the library's functions, text out."""

import dataclasses
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import click

from zoo import catalog, recipes
from zoo.loading import RUNTIMES
from zoo.stack import whole_stack


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
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
DATA_DIR = click.option("--data-dir", type=click.Path(), help="Folder of tensorflow-datasets.  [default: $TFDS_DATA_DIR]")


def runtime_option(default):
    return click.option("--runtime", type=click.Choice(RUNTIMES), default=default)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120})
def cli():
    """Pretrained generative models: list, look at, sample, train, measure, export, serve."""


@cli.command("list")
@click.argument("pattern", default="*")
@JSON
def list_command(pattern, as_json):
    """List the trained models that match a glob PATTERN."""
    names = catalog.list_models(pattern)
    click.echo(json.dumps(names) if as_json else "".join(f"{name}\n" for name in names), nl=as_json)


@cli.command()
@NAME
@JSON
def info(name, as_json):
    """Show the card of a model."""
    card = catalog.info(name)
    if as_json:
        click.echo(card.to_json(), nl=False)
        return
    click.echo(f"{card.name}: {card.family} on {card.dataset}, images {card.image_shape}, latent_dim {card.latent_dim}")
    click.echo(f"paper: {card.paper}")
    click.echo(f"parameters: {card.parameters['total']:,}, of which the generator has {card.parameters['generator']:,}")
    for metric in card.metrics:
        click.echo(metric_line(metric))


def metric_line(metric: dict) -> str:
    anchor = metric["anchor"]
    published = f"; published: {anchor['value']} ({anchor['source']})" if anchor else ""
    return (
        f"{metric['name']}: {metric['value']:.2f} ± {metric['stderr']:.2f} ({metric['protocol']}; n = {metric['n']}){published}"
    )


@cli.command()
@NAME
@click.option("-n", "n", type=click.IntRange(1), help="Number of images.  [default: 16, or one a label]")
@click.option("--labels", type=Labels(), help="7, 0-9 or 1,4; taken in turn.")
@click.option("--condition", type=click.Path(exists=True, dir_okay=False), help="Picture that a model is conditioned on.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Seed of the first image; counted upwards.")
@click.option("-o", "output", type=click.Path(dir_okay=False), help="PNG file.  [default: NAME.png]")
@runtime_option("litert")
def sample(name, n, labels, condition, seed, output, runtime):
    """Draw images from a model into a PNG file."""
    from zoo import pictures
    from zoo.loading import load

    card = catalog.info(name)
    if card.condition_shape and not condition:
        height, width, _ = card.condition_shape
        raise click.UsageError(f"{name} draws around a picture: give one of {width}x{height} pixels with --condition.")
    n = n or (len(labels) if labels else 16)
    output = Path(output or f"{name}.png")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {output.parent} to write {output.name} to.")
    if condition and card.condition_shape:
        condition = pictures.read(condition, card.condition_shape)
    if labels:
        labels = [labels[i % len(labels)] for i in range(n)]
    with quiet():
        images = load(name, runtime).sample(n, labels, seed=seed, condition=condition)
    pictures.write(pictures.sheet(images, columns=min(n, 10) if labels else None), output)
    click.echo(f"{n} images of {name} in {output}")


@cli.command()
@NAME
@click.option("--epochs", type=click.IntRange(1), help="One cycle of so many, instead of the recipe's.")
@click.option("--run-dir", type=click.Path(file_okay=False), help="Directory of the run.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@DATA_DIR
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another setting of the recipe, or model.KEY=VALUE."
)
def train(name, epochs, run_dir, resume, data_dir, settings):
    """Train a named model by its recipe."""
    recipe = changed(recipes.named(name), settings)
    if epochs:
        recipe = dataclasses.replace(recipe, cycles=[[epochs, *recipe.cycles[0][1:]]])
    with quiet():
        from zoo import training

    run_dir = run_dir or Path("runs") / name
    training.train(recipe, run_dir, resume=resume, data_dir=data_dir, verbose=1 if sys.stdout.isatty() else 2)
    click.echo(f"Trained: {Path(run_dir) / training.MODEL}")


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
            recipe = dataclasses.replace(recipe, **{part: getattr(recipe, part) | {argument: value}})
        elif key in known and not isinstance(present, dict):
            recipe = dataclasses.replace(recipe, **{key: value})
        elif isinstance(present, dict):
            raise click.UsageError(f"{key} has parts: write {key}.KEY=VALUE.")
        else:
            raise click.UsageError(f"A recipe has no setting {key!r}{catalog.nearest(key, known)}.")
    return recipe


@cli.command()
@click.argument("name_or_dir")
@click.option("--metric", "metrics", multiple=True, help="Only this metric; may be repeated.")
@runtime_option("keras")
@JSON
@DATA_DIR
def evaluate(name_or_dir, metrics, runtime, as_json, data_dir):
    """Measure a model, or the run in a directory, on the test set."""
    name, recipe, model = resolve(name_or_dir, runtime)
    with quiet():
        from zoo import evaluation

    settings = {"runtime": runtime, "data_dir": data_dir, "progress": progress}
    values = evaluation.evaluate(model, name, recipe, metrics or None, **settings)
    if as_json:
        click.echo(json.dumps({"name": name, "metrics": values}, indent=1, ensure_ascii=False))
        return
    for metric in values:
        click.echo(metric_line(metric))


def progress(metric: str, done: int, total: int) -> None:
    """A line that counts up on a terminal; a plain line at each tenth elsewhere."""
    if sys.stderr.isatty():
        click.echo(f"\r{metric}: {done} of {total}", nl=done == total, err=True)
    elif done * 10 // total > (done - 1) * 10 // total:
        click.echo(f"{metric}: {done} of {total}", err=True)


def resolve(name_or_dir, runtime="keras"):
    """A name of the catalog or the directory of a run as (name, recipe, model on a runtime)."""
    from zoo.loading import load

    path = Path(name_or_dir)
    if (path / "recipe.json").is_file():
        if runtime != "keras":
            raise click.UsageError(f"{path} is a run, which the keras runtime computes, not {runtime}.")
        with quiet():
            from zoo import training

            return (str(path), *training.load(path))
    recipe = recipes.from_json(catalog.info(name_or_dir).recipe)
    with quiet():
        return name_or_dir, recipe, load(name_or_dir, runtime)


FORMATS = {"saved_model": None, "tflite": "float32", "tflite-float16": "float16", "tflite-int8": "int8"}


@cli.command()
@click.argument("name_or_dir")
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), required=True)
@click.option("-o", "output", type=click.Path(), required=True, help="Base path for TF Serving, or a TF Lite file.")
@DATA_DIR
def export(name_or_dir, format_, output, data_dir):
    """Write a model as a new version below a base path of TF Serving, or as a TF Lite file.

    For int8 a variational model is shown the first images that it was trained on.
    """
    _, recipe, model = resolve(name_or_dir)
    from zoo import export

    if format_ == "saved_model":
        written = export.publish_version(model, output)
    else:
        from zoo.export import calibration

        precision = FORMATS[format_]
        samples = calibration.samples(model, recipe, data_dir) if precision == "int8" else None
        with quiet():
            written = export.write_tflite(model, output, precision, samples)
    click.echo(f"Written: {written}")


@cli.command()
@click.argument("names", nargs=-1)
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 is every one that the machine has.")
@click.option("--port", type=click.IntRange(0, 65535), default=8501, help="Port to listen on; 0 takes a free one.")
def serve(names, host, port):
    """Serve every model, or those named, over HTTP as TF Serving does.

    The page at / shows the models and how to ask for an image.
    """
    artifacts = {name: catalog.directory(name) for name in names or catalog.list_models()}
    with quiet():
        from zoo import serving

    def ready(at):
        click.echo(f"Serving {', '.join(artifacts)} on {serving.url(host, at)}")

    serving.serve(artifacts, host, port, ready)


@cli.command()
@click.argument("names", nargs=-1)
@JSON
def verify(names, as_json):
    """Compare the files of every model, or of those named, with their cards."""
    found = [problem for name in names for problem in catalog.problems(name)] if names else catalog.all_problems()
    if as_json:
        click.echo(json.dumps({"ok": not found, "problems": found}, ensure_ascii=False))
    else:
        click.echo("\n".join(found) or f"{len(names or catalog.list_models())} models, every file as its card says.")
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
        with whole_stack():
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
