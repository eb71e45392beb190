"""Writing what others may be reading."""

import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path):
    """Gives a temporary sibling to write, file or directory, which takes its place in one rename.

    Its name keeps the suffix, by which a writer may choose its format, and is no integer, which TF Serving would take for a
    version.
    """
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
