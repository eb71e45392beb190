"""Page of an artifact, README.md, in the format of the Hugging Face Hub's model cards."""

import json
import re
import shlex
from pathlib import Path

from zoo import artifact
from zoo.catalog import FOLDER, Card, described_attributes
from zoo.evaluation import METRICS
from zoo.publishing import notes
from zoo.recipes import list_recipes
from zoo.utils.numbers import counted, with_stderr

NO_INT8_OF_FAMILY = "Models of this family have no int8 file."
NO_INT8 = "There is no int8 file, because the model was published without images for calibration."
NO_METRICS = "The model has no metrics."


def text(card: Card, version: Path, name: str) -> str:
    """Returns the page.

    Args:
        card: Card of the model.
        version: The version directory.
        name: Name or path by which the model is loaded.
    """
    int8 = (version / artifact.FILES[artifact.INT8]).exists()
    draws = "sample" in card.signatures
    sections = [
        _header(card),
        f"# {card.name}",
        _description(card),
        _picture(card) if draws else "",
        _no_int8(card) if draws and not int8 else "",
        f"## Use\n\n{_use(card, name)}",
        f"## Training\n\n{_training(card)}",
        f"## Evaluation\n\n{_evaluation(card)}",
        f"## Limitations and intended use\n\n{notes.limitations(card)}",
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _no_int8(card):
    """Returns why the artifact has no int8 file."""
    return NO_INT8_OF_FAMILY if {"flow", "baseline"} & set(card.tags) else NO_INT8


def _header(card):
    """Returns the metadata in YAML."""
    task = "unconditional-image-generation"
    if "sample" not in card.signatures:
        task = "image-classification"
    data = notes.DATA.get(card.dataset)
    fields = {
        # The license of weights that a user has trained is the user's choice.
        "license": ["apache-2.0"] if card.name in list_recipes() else [],
        "library_name": ["keras"],
        "pipeline_tag": [task],
        "datasets": [data.hub] if data and data.hub else [],
        "metrics": sorted({metric["name"].partition("@")[0] for metric in card.metrics}),
        "tags": ["keras", "tensorflow", "tf-lite", *card.tags],
    }
    lines = []
    for key, values in fields.items():
        if key in ("datasets", "metrics", "tags"):
            lines += [f"{key}:", *(f"- {value}" for value in values)] if values else []
        elif values:
            lines.append(f"{key}: {values[0]}")
    return "\n".join(["---", *lines, "---"])


def _description(card):
    parts = {part: f"{count:,}" for part, count in card.parameters.items()}
    total = parts.pop("total")
    of_parts = [f"of which the {part} has {count}" for part, count in parts.items()]
    latent = f"; latent_dim {card.latent_dim}" if card.latent_dim else ""
    on = f" on {card.trained_on}" if card.dataset else ""
    after = f", after {card.paper}" if card.paper else ""
    height, width, channels = card.image_shape
    counts = ", ".join([f"{total} parameters", *of_parts])
    kind = ", a baseline for comparison with other models" if "baseline" in card.tags else ""
    described = (
        f"{card.family.rpartition('>')[2]}{on}{after}{kind}. It has {counts}{latent}. "
        f"Images have {height} rows, {width} columns and {channels} "
        f"channel{'s' if channels > 1 else ''}, with values in [0, 1]."
    )
    return " ".join(filter(None, [described, _condition(card)]))


def _condition(card):
    """Returns a sentence on the labels or the condition of a model, or "" if it has none."""
    data = notes.DATA.get(card.dataset)
    labels = ", ".join(card.class_names) or (data.labels if data else "")
    if card.num_classes and labels:
        return f"The labels are {labels}."
    if card.attributes:
        return f"The attributes are {described_attributes(card.attributes)}."
    if card.condition:
        shape = " x ".join(map(str, card.condition["shape"]))
        part = ""
        if card.condition["at"]:
            row, column = card.condition["at"]
            part = f", the part of the image that begins at row {row} and column {column}"
        return f"The condition is a tensor of shape {shape}{part}."
    return ""


def _picture(card):
    if card.attributes:
        caption = "Samples of the first 100 seeds, whose attributes vary with the seed."
    elif card.condition:
        caption = "Samples of the first seeds. The images of a row have the same condition."
    elif card.num_classes:
        caption = "Samples of the first seeds, one column for each label."
    else:
        caption = "Samples of the first 100 seeds, not selected."
    return f"![Samples of {card.name}]({artifact.SHEET})\n\n{caption}"


def _use(card, name):
    """Returns snippets that load the model and use it."""
    if "sample" not in card.signatures:
        lines = [
            f'classifier = zoo.load("{name}")',
            "logits, features = classifier.classify(images)",
        ]
        commands = [f"zoo info {name}"]
    else:
        labels = "labels=0, " if card.num_classes else ""
        condition = "condition=condition, " if card.condition else ""
        picture = " --condition PICTURE.png" if card.condition else ""
        training = "your_labels, " if card.num_classes else ""
        if card.attributes:
            first = {name: values[-1] for name, values in list(card.attributes.items())[:2]}
            condition = f"condition={json.dumps(first)}, "
            picture = f" --condition {shlex.quote(','.join(map('='.join, first.items())))}"
            training = "your_values, "
        lines = [
            f'model = zoo.load("{name}")  # a keras.Model with weights',
            f"images = model.sample(16, {labels}{condition}seed=0)",
            f"model.fit(your_images, {training}epochs=1)",
        ]
        commands = [f"zoo sample {name}{picture} -o samples.png", f"zoo serve {name}"]
    if card.name in list_recipes():
        commands.append(f"zoo train {card.name}")
    python = "\n".join(["import zoo", "", *lines])
    return f"```python\n{python}\n```\n\n```sh\n{chr(10).join(commands)}\n```"


def _training(card):
    data = notes.DATA.get(card.dataset)
    sentences = []
    if card.dataset:
        title = data.title if data else card.trained_on
        sentences.append(f"The training data are {title}, split {card.recipe['split']}.")
    if data:
        sentences.append(f"They are available under the {data.license} license.")
    if card.recipe["wall_clock_seconds"] is not None:
        minutes = card.recipe["wall_clock_seconds"] / 60
        epochs = counted(card.recipe["epochs"], "epoch")
        sentences.append(f"Trained for {epochs} in {counted(max(1, round(minutes)), 'minute')}.")
    kept, rule = card.recipe["kept"], card.recipe["best"]
    if kept:
        sentences.append(
            f"The model after epoch {kept['epoch']} was kept: of those measured every "
            f"{rule['every']} epochs it has the best {rule['metric']} on the validation images "
            f"{card.recipe['validation']}, {kept['value']:.2f}."
        )
    return "\n".join(sentences) or "The recipe of the training is not known."


def _evaluation(card):
    """Returns a table of the metrics, and the meaning and protocol of each."""
    if not card.metrics:
        return NO_METRICS
    values = {
        metric["name"]: with_stderr(metric["value"], metric["stderr"]) for metric in card.metrics
    }
    int8 = f"@{artifact.INT8}"
    with_int8 = any(name.endswith(int8) for name in values)
    rows = [_row("metric", "value", "int8 file" if with_int8 else None, "compared with")]
    rows.append(re.sub("[^|]+", "---", rows[0]))
    explained = []
    for metric in card.metrics:
        name = metric["name"]
        if "@" in name:
            continue
        anchor = metric["anchor"]
        compared = f"{anchor['value']} ({anchor['source']})" if anchor else "–"
        of_int8 = values.get(name + int8, "–") if with_int8 else None
        rows.append(_row(name, values[name], of_int8, compared))
        command = f" `{metric['command']}`" if metric["command"] else ""
        meaning = f"{METRICS[name].meaning} " if name in METRICS else ""
        explained.append(f"- **{name}**: {meaning}Protocol: {metric['protocol']}.{command}")
    note = "Each value is followed by its standard error."
    if with_int8:
        file = Path(artifact.FILES[artifact.INT8]).name
        note += f" The column of the int8 file is the same metric of `{file}`."
    if (card.dataset or "").startswith(FOLDER):
        note += (
            " The pictures are not part of the model. To measure it on pictures, add "
            "`--data FOLDER` to a command."
        )
    return "\n\n".join(["\n".join(rows), note, "\n".join(explained)])


def _row(*cells) -> str:
    """Returns a row of a table in Markdown; None is a column that the table does not have."""
    return f"| {' | '.join(cell for cell in cells if cell is not None)} |"
