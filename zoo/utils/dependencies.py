"""Packages of the full install.

A light install, which only samples on LiteRT, needs just LiteRT, NumPy, Pillow and click.
"""

from contextlib import contextmanager

# Extras of setup.cfg by the package that is imported first.
EXTRAS = {
    "apache_beam": "[beam]",
    "dicebear": "[avatars]",
    "dicebear_styles": "[avatars]",
    "kserve": "[serve]",
    "resvg_py": "[avatars]",
}


@contextmanager
def full_install_required():
    """Converts a failed import in the block to an error that says how to install the package.

    Raises:
        ModuleNotFoundError: If a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name, "")
        raise ModuleNotFoundError(
            f"This needs {error.name}, which is not installed. Install all packages by "
            f"'pip install .{extra}' in zoo's repository.",
            name=error.name,
        ) from error
