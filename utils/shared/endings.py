"""What the end of an object's key tells: its format, and the name of the workbook made of it."""

import re

NAMES = {"": "json", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
RULE = f"must end in {', '.join(filter(None, NAMES))} or one of these with .gz, or have no ending"
OUTBOX = "outbox/"
KEY_BYTES = 1_024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_ENDS = re.compile(r"(\.json|\.jsonl|\.ndjson|\.csv)?(\.gz)?\Z", re.IGNORECASE)
_OTHER = re.compile(r"\.\w*[a-z]\w*\Z", re.IGNORECASE)  # 2026.11.27 is a date


def ends(key: str) -> tuple[str, bool]:
    """The end of a key that tells its format, in lower case, if any; and whether .gz follows."""
    end, packed = _ENDS.findall(key)[0]
    return end.lower(), bool(packed)


def stem(key: str) -> str:
    """The key without what tells its format: `2026/orders.csv.gz` → `2026/orders`."""
    return _ENDS.sub("", key, count=1)


def is_read(key: str) -> bool:
    """Whether the key has an ending that is read, or none: a table without is told by its first bytes."""
    return bool(ends(key)[0]) or not _OTHER.search(stem(key))


def workbook_key(key: str, inbox: str = "") -> str:
    """Beside the input, but of one in the inbox in the outbox, so that it starts nothing."""
    workbook = stem(key) + ".xlsx"
    filed = inbox and workbook.startswith(inbox)
    return OUTBOX + workbook.removeprefix(inbox) if filed else workbook
