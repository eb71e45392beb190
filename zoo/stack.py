"""The whole stack: what the package needs beyond a light install, which draws on LiteRT, NumPy, Pillow and click alone."""

from contextlib import contextmanager


@contextmanager
def whole_stack():
    """Runs what may need the whole stack.

    Raises:
        ModuleNotFoundError: where a package is missing, with the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"This needs {error.name}, which a light install leaves out: 'pip install .' in zoo's repository installs all.",
            name=error.name,
        ) from error
