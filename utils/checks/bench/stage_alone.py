"""Run a stage of a long table, with a folder for S3: `python stage_alone.py STAGE FILE ROWS FOLDER`.

The function is on the path. The input is the file's records, over and over. One segment of EVERY is
kept; for the gather, its result stands for those of the ones that follow it.
"""

import importlib
import itertools
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.excel import DATA_ROWS
from pipeline.facts.stages import ScatterFacts, SegmentCut
from pipeline.keys import facts_key, gathered, manifest_key, segment_key
from pipeline.s3.signed import METADATA, VARIABLE, signature
from pipeline.segments.figures import Figures
from pipeline.sheet.parts import SheetPart

EVERY = 20
EXECUTION, INPUT, WORKBOOK = "scale", "members.json", "members.xlsx"
ETLS = Path(__file__).resolve().parents[2] / "tests/etl"
SECRET = bytes(32)
ETAG = "e"
NUMBER = re.compile(r"(?<=/job_)[0-9]+")
PARTS_HELD = 4  # by an upload: two on their way, two that wait


class Body:
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = pieces

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        held = bytearray()
        for piece in self.pieces:
            held += piece
            while len(held) >= size:
                yield bytes(held[:size])
                del held[:size]
        yield bytes(held)

    def read(self) -> bytes:
        return b"".join(self.pieces)


class Storage:
    """What the stages call of S3."""

    def __init__(self, file: Path, rows: int, folder: Path) -> None:
        self.file = file
        self.rows = rows
        self.folder = folder

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        pieces = self.input() if Key == INPUT else [self.stored(Key)]
        signed = {} if Key == INPUT else {METADATA: signature(SECRET, Key, pieces[0])}
        size = sum(map(len, pieces))
        return {"Body": Body(pieces), "ContentLength": size, "ETag": ETAG, "Metadata": signed}

    def input(self) -> list[bytes]:
        records = self.file.read_bytes().strip(b"[]\n").split(b",\n")
        times, more = divmod(self.rows, len(records))
        blocks = [b",\n".join(records)] * times + [b",\n".join(records[:more])] * (more > 0)
        pairs = itertools.chain.from_iterable(zip(itertools.repeat(b",\n"), blocks))
        return [b"[", *itertools.islice(pairs, 1, None), b"]"]

    def stored(self, key: str) -> bytes:
        number = int(found[0]) if (found := NUMBER.search(key)) else 0
        kept = NUMBER.sub(f"{number - number % EVERY:03d}", key)
        data = (self.folder / kept).read_bytes()
        return self.moved(data, number) if kept != key and key.endswith(".json") else data

    @cached_property
    def cuts(self) -> list[SegmentCut]:
        facts = self.stored(facts_key(segment_key(EXECUTION, 0)))
        return ScatterFacts.from_json(facts).segments

    def moved(self, data: bytes, number: int) -> bytes:
        """Another segment's figures, with the place and the number of its own rows."""
        start = sum(cut.rows for cut in self.cuts[:number])
        stop = start + self.cuts[number].rows
        sheets = range(start - start % DATA_ROWS + DATA_ROWS, stop, DATA_ROWS)
        figures = Figures.from_json(data)
        xml, deflated = (
            sum(getattr(part, name) for part in figures.parts)
            for name in ("xml_bytes", "deflated_bytes")
        )
        first, *others = itertools.pairwise([start, *sheets, stop])
        parts = [SheetPart(first[0], first[1] - first[0], xml, deflated, 0)]
        parts += [SheetPart(begin, end - begin, 0, 0, 0) for begin, end in others]
        return replace(figures, parts=parts).to_json()

    def put_object(self, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        found = NUMBER.search(Key)
        if not found or int(found[0]) % EVERY == 0:
            path = self.folder / Key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(Body)
        return {"ETag": ETAG}

    def get_paginator(self, _: str) -> "Storage":
        return self

    def paginate(self, Prefix: str, **_: Any) -> Iterator[dict[str, Any]]:
        """The results of all segments; no reference table."""
        if Prefix.startswith("gather/"):
            keys = [gathered(cut.key) for cut in self.cuts]
            keys += [key.replace(".pkl", ".json") for key in keys]
            yield {"Contents": [{"Key": key, "ETag": ETAG} for key in keys]}

    def upload_fileobj(self, file: Any, _: str, __: str, Config: Any, **___: Any) -> None:
        read = iter(lambda: file.read(Config.multipart_chunksize), b"")
        deque(read, maxlen=PARTS_HELD)


def run(stage: str, storage: Storage) -> None:
    module: Any = importlib.import_module(stage)
    handler = getattr(module, f"{stage.title()}Handler")
    at = {"manifest": manifest_key(EXECUTION), "workbook": WORKBOOK}
    events: dict[str, list[Any]] = {
        "scatter": [{"input_obj": INPUT, "execution": EXECUTION, "manifest": True}],
        "gather": [at],
    }
    if stage == "segment":
        module.ETLS = ETLS
        kept = (storage.folder / segment_key(EXECUTION, 0)).parent.glob("job_*.pkl")
        events["segment"] = sorted(str(path.relative_to(storage.folder)) for path in kept)
    for event in events[stage]:
        handler(event, None, storage).main()


if __name__ == "__main__":
    os.environ[VARIABLE] = SECRET.hex()
    run(sys.argv[1], Storage(Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
