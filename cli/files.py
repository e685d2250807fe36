"""Files that a command is to write: looked at before anything is asked for or put on the record."""

from __future__ import annotations

import os
from pathlib import Path

from chain.errors import KehuError, define

FILE_EXISTS = define("usage.file_exists", "the file exists; nothing is written over", "choose another name")
FILE_TWICE = define(
    "usage.file_twice", "two files that the command is to write have the same name", "name two different files"
)
FILE_PLACE = define(
    "usage.file_place",
    "the folder of the file is not there, or you may not write into it",
    "make the folder, correct its rights, or choose another",
)
FILE_IS_FOLDER = define(
    "usage.file_is_folder", "a folder has the name of the file that is to be written", "choose another name"
)


def require_new_file(*files: Path) -> None:
    """Errors: usage.file_exists, usage.file_place, usage.file_twice."""
    if len({file.resolve() for file in files}) < len(files):
        raise KehuError(FILE_TWICE, file=str(files[0]))
    for file in files:
        if file.exists():
            raise KehuError(FILE_EXISTS, file=str(file))
        require_place(file)


def require_place(file: Path) -> None:
    """Errors: usage.file_is_folder, usage.file_place."""
    if file.is_dir():
        raise KehuError(FILE_IS_FOLDER, file=str(file))
    if not (file.parent.is_dir() and os.access(file.parent, os.W_OK | os.X_OK)):
        raise KehuError(FILE_PLACE, folder=str(file.parent))
