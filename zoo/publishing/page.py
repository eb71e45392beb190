"""Page of an artifact, README.md, from its card."""

from pathlib import Path

from zoo import artifact
from zoo.catalog import Card
from zoo.recipes import list_recipes
from zoo.utils.numbers import with_stderr

INT8_NAMES = """
A metric whose name ends in @litert-int8 was measured on model_int8.tflite; the metric without that
ending is that of the Keras model by the same protocol.
"""
NO_INT8 = """
There is no int8 file, because the model was published without images to calibrate it.
"""
NO_METRICS = """
The model has no metrics.
"""


def text(card: Card, version: Path, name: str) -> str:
    """Returns the page.

    Args:
        card: Card of the model.
        version: The version directory.
        name: Name or path by which the model is loaded.
    """
    int8 = (version / artifact.FILES[artifact.INT8]).exists()
    measured_int8 = any(metric["name"].endswith(f"@{artifact.INT8}") for metric in card.metrics)
    parts = [
        f"# {card.name}\n{_picture(card)}\n{_description(card)}\n",
        f"\n{_table(card)}\n" if card.metrics else NO_METRICS,
        INT8_NAMES if measured_int8 else "",
        NO_INT8 if not int8 and "sample" in card.signatures else "",
        f"\n```\n{_commands(card, name)}\n```\n",
    ]
    return "".join(parts)


def _picture(card):
    return f"\n![samples]({artifact.SHEET})\n" if "sample" in card.signatures else ""


def _description(card):
    parts = {part: f"{count:,}" for part, count in card.parameters.items()}
    total = parts.pop("total")
    of_parts = [f"of which the {part} has {count}" for part, count in parts.items()]
    latent = f"; latent_dim {card.latent_dim}" if card.latent_dim else ""
    on = f" on {card.dataset}" if card.dataset else ""
    after = f", after {card.paper}" if card.paper else ""
    sentences = [
        f"{card.family}{on}{after}.",
        f"{', '.join([f'{total} parameters', *of_parts])}{latent}.",
    ]
    if card.recipe["wall_clock_seconds"] is not None:
        minutes = card.recipe["wall_clock_seconds"] / 60
        sentences.append(f"Trained for {card.recipe['epochs']} epochs in {minutes:.0f} minutes.")
    kept, rule = card.recipe["kept"], card.recipe["best"]
    if kept:
        sentences.append(
            f"The model after epoch {kept['epoch']} was kept: of those measured every "
            f"{rule['every']} epochs it has the best {rule['metric']} on the validation images "
            f"{card.recipe['validation']}, {kept['value']:.2f}."
        )
    return "\n".join(sentences)


def _table(card):
    rows = ["| metric | value | published | protocol | command |", "|---|---|---|---|---|"]
    for metric in card.metrics:
        anchor = metric["anchor"]
        published = f"{anchor['value']} ({anchor['source']})" if anchor else "–"
        value = with_stderr(metric["value"], metric["stderr"])
        command = f"`{metric['command']}`" if metric["command"] else "–"
        rows.append(
            f"| {metric['name']} | {value} | {published} | {metric['protocol']} | {command} |"
        )
    return "\n".join(rows)


def _commands(card, name):
    commands = [f"zoo info {name}"]
    if "sample" in card.signatures:
        picture = " --condition PICTURE.png" if card.condition else ""
        commands.insert(0, f"zoo sample {name}{picture}")
    if card.name in list_recipes():
        commands.append(f"zoo train {card.name}")
    return "\n".join(commands)
