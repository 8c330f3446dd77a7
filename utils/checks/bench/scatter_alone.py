"""Scatter one file, whose segments go nowhere: `python scatter_alone.py FILE`, with the function on the path."""

import os
import sys
from pathlib import Path
from typing import Any

from botocore.response import StreamingBody

from scatter import ScatterHandler


class Storage:
    """What a scatter calls of S3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        path = self.folder / Key
        size = os.path.getsize(path)
        return {"Body": StreamingBody(path.open("rb"), size), "ContentLength": size, "ETag": ""}

    def put_object(self, **_: Any) -> None:
        pass


if __name__ == "__main__":
    file = Path(sys.argv[1])
    ScatterHandler({"input_obj": file.name}, None, Storage(file.parent)).main()
