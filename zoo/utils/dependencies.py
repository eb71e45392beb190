"""The whole stack: what the package needs beyond a light install, which draws on LiteRT, NumPy, Pillow and click alone."""

from contextlib import contextmanager


@contextmanager
def full_install_required():
    """Runs what may need the whole stack.

    Raises:
        ModuleNotFoundError: where a package is missing, with the command that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        extra = "[serve]" if error.name == "kserve" else ""
        raise ModuleNotFoundError(
            f"This needs {error.name}, which is not installed: 'pip install .{extra}' in zoo's repository installs all.",
            name=error.name,
        ) from error
