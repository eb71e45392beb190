"""Atomic writing of files and folders, which other processes may read at the same time."""

import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path

FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextmanager
def atomic_write(path: Path):
    """Yields a temporary path in the same folder, which is renamed to ``path`` at the end.

    The block writes a file or a directory to the temporary path. Its name has the suffix of
    ``path``, from which a writer may choose the format. It is not an integer, which TF Serving
    would load as a version. If the block fails, the temporary path is removed and ``path`` is left
    as it was.

    Args:
        path: File or directory to write.

    Raises:
        OSError: If it cannot be written. The message names the path.
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
    """Converts write errors of any library to OSError with a message that names the path.

    Raises:
        OSError: If the block fails because a file cannot be written.
    """
    try:
        yield
    except Exception as error:
        # TensorFlow's errors are not OSError, and the OSError of some libraries has no errno.
        reason = os.strerror(error.errno) if getattr(error, "errno", None) else None
        reason = reason or next((reason for reason in FULL if reason in str(error)), None)
        if reason is None:
            raise
        advice = "Free some space there, or write" if reason in FULL else "Write"
        raise OSError(f"{path} cannot be written: {reason}. {advice} to another place.") from error


@contextmanager
def new_folder(path: Path):
    """Creates a folder and its parents. If the block fails, it removes those that it created.

    Raises:
        OSError: If the folder cannot be created.
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
            # Another process may have written there in the meantime.
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise
