"""What the name of an input tells: a key's format, what a folder or a pattern is, and the workbook's name."""

import glob
import itertools
import re

NAMES = {
    **{"": "json", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"},
    **{".csv": "csv", ".tsv": "csv", ".xlsx": "xlsx"},
}
RULE = f"must end in {', '.join(filter(None, NAMES))} or one of these with .gz, or have no ending"
OUTBOX = "outbox/"
HIDDEN = ("_", ".")  # as Hive has it: what begins so is not data
KEY_BYTES = 1_024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_ENDS = re.compile(r"(\.json|\.jsonl|\.ndjson|\.csv|\.tsv|\.xlsx)?(\.gz)?\Z", re.IGNORECASE)
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


def is_csv(key: str) -> bool:
    return NAMES[ends(key)[0]] == "csv"


def is_workbook(key: str) -> bool:
    return NAMES[ends(key)[0]] == "xlsx"


def is_folder(key: str) -> bool:
    return key.endswith("/")


def is_pattern(key: str) -> bool:
    """Whether the key holds a star; an object of that very key goes before what it matches."""
    return "*" in key


def is_many(key: str) -> bool:
    """Whether the key may name several objects."""
    return is_folder(key) or is_pattern(key)


def regex(pattern: str) -> re.Pattern[str]:
    """What keys a pattern matches: * stands for any text within a step, ** for any steps."""
    steps = pattern + "**" * is_folder(pattern)
    plain = re.sub(r"[?[]", r"[\g<0>]", steps)  # which Python's patterns give a meaning
    return re.compile(glob.translate(plain, recursive=True, include_hidden=True, seps="/"))


def is_table(key: str, prefix: str) -> bool:
    """Whether an object of a folder or a pattern, whose key begins with `prefix`, is read."""
    hidden = any(step.startswith(HIDDEN) for step in key.removeprefix(prefix).split("/"))
    return not hidden and is_read(key)


def table_name(input_obj: str | list[str]) -> str:
    """What errors and facts call the table of an execution's input."""
    if isinstance(input_obj, str):
        return input_obj
    more = f" and {len(input_obj) - 1} more" if len(input_obj) > 1 else ""
    return input_obj[0] + more


def workbook_key(input_obj: str | list[str], inbox: str = "", written: bool = False) -> str:
    """Beside the input, but of one in the inbox in the outbox, so that it starts nothing.

    A folder gives its name, a pattern the steps before its first star.

    Args:
        written: the input is an object's key, whatever it holds.

    Returns:
        "" where none can be told: of a list, and of a pattern that begins with a star.
    """
    if isinstance(input_obj, list):
        return ""
    if written or not is_many(input_obj):
        name = stem(input_obj)
    else:
        steps = input_obj.removesuffix("/").split("/")
        name = "/".join(itertools.takewhile(lambda step: not is_pattern(step), steps))
    if not name:
        return ""
    workbook = name + ".xlsx"
    filed = inbox and workbook.startswith(inbox)
    return OUTBOX + workbook.removeprefix(inbox) if filed else workbook
