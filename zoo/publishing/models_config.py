"""Configuration of TF Serving that lists the models of a folder."""

from pathlib import Path

from zoo import catalog
from zoo.utils.atomic import atomic_write


def text(names) -> str:
    """Returns TF Serving's ModelServerConfig, with base paths as they are in its container."""
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" }}\n'
        for name in names
    )
    return f"model_config_list {{\n{entries}}}\n"


def update(root: Path) -> None:
    """Writes the configuration of a folder anew, if the folder has one."""
    if (root / catalog.CONFIG).is_file():
        with atomic_write(root / catalog.CONFIG) as partial:
            partial.write_text(text(catalog.names(root)))
