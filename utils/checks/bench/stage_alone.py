"""Run one stage, with a folder for S3: `python stage_alone.py STAGE FILE FOLDER TIMES`.

The function is on the path. The input is FILE's JSON records, so many TIMES over. One segment of
EVERY is kept; for the gather, what it became stands for those that follow it.
"""

import importlib
import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from io import BytesIO
from itertools import accumulate, chain, pairwise, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.hooks import HierarchicalEmitter

from pipeline.excel import DATA_ROWS
from pipeline.facts.stages import ScatterFacts
from pipeline.keys import gathered, segment_facts_key
from pipeline.s3.signed import METADATA, VARIABLE, signature
from pipeline.segments.figures import Figures
from pipeline.sheet.parts import SheetPart

EVERY = 20
ETLS = Path(__file__).resolve().parents[2] / "tests/etl"
SECRET, ETAG = bytes(32), "e"
NUMBER = re.compile(r"(?<=/job_)[0-9]+")
PARTS_HELD = 4  # by an upload: two on their way, two that wait


class Records:
    """The input: a file's JSON records, so many times over."""

    def __init__(self, file: Path, times: int) -> None:
        records = file.read_bytes().strip(b"[]\n")
        self.pieces = chain([b"[", records], *repeat([b",\n", records], times - 1), [b"]"])
        self.held = bytearray()

    def read(self, size: int) -> bytes:
        while len(self.held) < size and (piece := next(self.pieces, b"")):
            self.held += piece
        taken = bytes(self.held[:size])
        del self.held[:size]
        return taken


class Storage:
    """What the stages call of S3."""

    def __init__(self, file: Path, folder: Path, times: int) -> None:
        self.file = file
        self.folder = folder
        self.times = times
        self.meta = SimpleNamespace(events=HierarchicalEmitter())

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        if Key == self.file.name:
            size = os.path.getsize(self.file) * self.times
            body = Records(self.file, self.times)
            return {"Body": body, "ContentLength": size, "ETag": ETAG}
        body = self.stored(Key)
        return {"Body": BytesIO(body), "Metadata": {METADATA: signature(SECRET, Key, body)}}

    def stored(self, key: str) -> bytes:
        number = int(found[0]) if (found := NUMBER.search(key)) else 0
        kept = NUMBER.sub(f"{number - number % EVERY:03d}", key)
        data = (self.folder / kept).read_bytes()
        return self.moved(data, number) if kept != key and key.endswith(".json") else data

    @cached_property
    def facts(self) -> ScatterFacts:
        return ScatterFacts.from_json((self.folder / "scatter/alone/facts.json").read_bytes())

    def moved(self, data: bytes, number: int) -> bytes:
        """The figures of a segment, with its own rows in as many bytes as those of another one."""
        start, stop = [0, *accumulate(cut.rows for cut in self.facts.segments)][number:][:2]
        sheets = range(start - start % DATA_ROWS + DATA_ROWS, stop, DATA_ROWS)
        figures = Figures.from_json(data)
        first, *others = (
            SheetPart(at, end - at, 0, 0, 0) for at, end in pairwise([start, *sheets, stop])
        )
        size = sum(part.deflated_bytes for part in figures.parts)
        first = replace(first, xml_bytes=size, deflated_bytes=size)
        return replace(figures, parts=[first, *others]).to_json()

    def put_object(self, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        found = NUMBER.search(Key)
        if not found or int(found[0]) % EVERY == 0:
            (self.folder / Key).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / Key).write_bytes(Body)
        return {"ETag": ETAG}

    def get_paginator(self, _: str) -> "Storage":
        return self

    def paginate(self, Prefix: str, **_: Any) -> Iterator[dict[str, Any]]:
        """The results of all segments; no reference table."""
        if Prefix.startswith("gather/"):
            results = [gathered(cut.key) for cut in self.facts.segments]
            keys = [*results, *map(segment_facts_key, results)]
            yield {"Contents": [{"Key": key, "ETag": ETAG} for key in keys]}

    def upload_fileobj(self, file: Any, *_: Any, Config: Any, **__: Any) -> None:
        deque(iter(partial(file.read, Config.multipart_chunksize), b""), maxlen=PARTS_HELD)


if __name__ == "__main__":
    os.environ[VARIABLE] = SECRET.hex()
    stage, file, folder, times = sys.argv[1:]
    storage = Storage(Path(file), Path(folder), int(times))
    kept = sorted(Path(folder, "scatter/alone").glob("job_*.pkl"))
    events: dict[str, list[Any]] = {
        "scatter": [{"input_obj": storage.file.name, "execution": "alone", "manifest": True}],
        "segment": [str(path.relative_to(folder)) for path in kept],
        "gather": [{"manifest": "scatter/alone/manifest.json"}],
    }
    module: Any = importlib.import_module(stage)
    module.ETLS = ETLS  # of the segment function
    for event in events[stage]:
        getattr(module, f"{stage.title()}Handler")(event, None, storage).main()
