"""From a name and a runtime to a model that answers the verbs."""

from zoo import catalog

RUNTIMES = ("keras", "litert", "litert-int8", "saved_model")
TFLITE = {"litert": "model.tflite", "litert-int8": "model_int8.tflite"}


def load(name: str, runtime: str = "keras"):
    """See ``zoo.load``."""
    if runtime not in RUNTIMES:
        raise ValueError(f"There is no runtime {runtime!r}{catalog.nearest(runtime, RUNTIMES)}.")
    folder = catalog.directory(name)
    card = catalog.info(name)
    version = catalog.version(folder, card)
    if runtime == "keras":
        path = version / "assets.extra" / "model.keras"
        catalog.check(folder, card, path)
        import keras

        import zoo.models  # noqa: F401  registers the classes

        return keras.saving.load_model(path)
    if runtime in TFLITE:
        path = version / "assets.extra" / TFLITE[runtime]
        catalog.check(folder, card, path)
        from zoo.runtimes.litert import LiteRT

        computes = LiteRT(path)
    else:
        path = version
        served = (folder / file for file in card.files if file.startswith(f"{version.name}/"))
        catalog.check(folder, card, *(file for file in served if "assets.extra" not in file.parts))
        from zoo.runtimes.saved_model import SavedModel

        computes = SavedModel(path)
    from zoo.verbs import from_card

    return from_card(card, computes)
