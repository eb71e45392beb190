"""Files that are written whole or not at all, while others may be reading them."""

import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path

FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextmanager
def atomic_write(path: Path):
    """Gives a temporary sibling to write, file or directory, which takes its place in one rename.

    Its name keeps the suffix, by which a writer may choose its format, and is no integer, which TF
    Serving would take for a version.

    Raises:
        OSError: where it cannot be written, with a sentence that names the path.
    """
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        with plain_write_errors(path):
            yield partial
            os.replace(partial, path)
    finally:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)


@contextmanager
def plain_write_errors(path):
    """Turns a failure to write, of whichever library, into one sentence that names the path.

    Raises:
        OSError: where the block fails because a file cannot be written.
    """
    try:
        yield
    except Exception as error:
        # TensorFlow's errors are no OSError, and some libraries' OSErrors have no number.
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else None
        reason = reason or next((reason for reason in FULL if reason in str(error)), None)
        if reason is None:
            raise
        advice = "Free some space there, or write" if reason in FULL else "Write"
        raise OSError(f"{path} cannot be written: {reason}. {advice} to another place.") from error


@contextmanager
def new_folder(path: Path):
    """Makes a folder and its parents, and removes those that it made where the block fails.

    Raises:
        OSError: where there cannot be such a folder.
    """
    made = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            wanted = "must be a folder that can be written to, or a new one"
            raise OSError(f"{path} {wanted} ({error.strerror}).") from error
        yield
    except BaseException:
        for parent in made:
            # Not where another process writes there by now.
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise
