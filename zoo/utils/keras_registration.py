"""Registration of the model classes with Keras.

``keras.saving.load_model`` finds a class by its registered name, and a class is registered when its
module is imported. ``import zoo`` must not import TensorFlow, so that the modules are imported when
Keras is imported. This module imports only the standard library.
"""

import contextlib
import importlib
import sys


class KerasHook:
    """Finder on ``sys.meta_path`` that registers the models after Keras is imported.

    It then removes itself.
    """

    def find_spec(self, name, path=None, target=None):
        """Returns the spec of Keras from the other finders, and None for other modules."""
        if name != "keras":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (
            finder.find_spec(name, path, target)
            for finder in others
            if hasattr(finder, "find_spec")
        )
        spec = next((spec for spec in specs if spec), None)
        if spec and spec.loader:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader):
        """Makes the loader's next ``exec_module`` call ``register_models`` at its end.

        The loader is not replaced, because other code asks it for the package's source and
        resources.
        """
        execute = loader.exec_module

        def exec_module(module):
            loader.exec_module = execute
            execute(module)
            with contextlib.suppress(ValueError):  # A second import of Keras may have removed it.
                sys.meta_path.remove(self)
            register_models()

        loader.exec_module = exec_module


_HOOK = KerasHook()


def register_with_keras() -> None:
    """Registers the model classes now, or when Keras is imported."""
    if sys.modules.get("keras"):
        register_models()
    elif _HOOK not in sys.meta_path:
        sys.meta_path.insert(0, _HOOK)


def register_models() -> None:
    """Imports the modules of the classes in Keras files, if Keras runs on TensorFlow."""
    # Without TensorFlow the import of Keras must still work. zoo.load names the missing package.
    with contextlib.suppress(ImportError):
        if importlib.import_module("keras").config.backend() == "tensorflow":
            importlib.import_module("zoo.models")
            importlib.import_module("zoo.training.schedules")  # In the checkpoints of runs.
