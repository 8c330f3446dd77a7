"""Scatter one file, whose segments go nowhere: `python scatter_alone.py FILE`, with the function on the path."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scatter import ScatterHandler


class Body:
    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        return iter(lambda: self.file.read(size), b"")


class Storage:
    """What a scatter calls of S3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        path = self.folder / Key
        return {"Body": Body(path), "ContentLength": os.path.getsize(path), "ETag": ""}

    def put_object(self, **_: Any) -> dict[str, Any]:
        return {"ETag": ""}


if __name__ == "__main__":
    file = Path(sys.argv[1])
    ScatterHandler({"input_obj": file.name}, None, Storage(file.parent)).main()
