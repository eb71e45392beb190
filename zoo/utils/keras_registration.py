"""Registration of the model classes with Keras, as soon as a process imports both.

``keras.saving.load_model`` finds a class by the name under which it was registered, and a class is
registered when its module is imported. ``import zoo`` must not import TensorFlow, so the modules
are imported when Keras is. This module imports only the standard library.
"""

import contextlib
import importlib
import sys


class KerasHook:
    """Finder on ``sys.meta_path`` that registers the models when Keras is imported, and then leaves."""

    def find_spec(self, name, path=None, target=None):
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
        """Lets ``register_models`` follow a loader's ``exec_module``, once.

        The loader itself stays in place, because others ask it for the package's source and
        resources.
        """
        execute = loader.exec_module

        def exec_module(module):
            loader.exec_module = execute
            execute(module)
            with contextlib.suppress(ValueError):  # A second import of Keras has removed the hook.
                sys.meta_path.remove(self)
            register_models()

        loader.exec_module = exec_module


_HOOK = KerasHook()


def register_with_keras() -> None:
    """Registers the model classes now if Keras is imported, otherwise as soon as it is."""
    if sys.modules.get("keras"):
        register_models()
    elif _HOOK not in sys.meta_path:
        sys.meta_path.insert(0, _HOOK)


def register_models() -> None:
    """Imports the modules of the model classes, where Keras runs on TensorFlow."""
    # Without TensorFlow Keras itself is still of use, and zoo.load says which package is missing.
    with contextlib.suppress(ImportError):
        if importlib.import_module("keras").config.backend() == "tensorflow":
            importlib.import_module("zoo.models")
