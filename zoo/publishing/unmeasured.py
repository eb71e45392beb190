"""Artifacts for a server that are neither measured nor converted to TF Lite."""

from dataclasses import replace
from pathlib import Path

from zoo import artifact, catalog
from zoo.export import saved_model


def write_unmeasured(model, card: catalog.Card, folder: Path) -> None:
    """Writes an artifact with a card and a SavedModel alone into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    saved_model.write(model, folder / "1")
    files = catalog.describe_all(folder)
    (folder / artifact.CARD).write_text(replace(card, files=files).to_json(), encoding="utf-8")
