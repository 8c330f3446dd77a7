"""Which of the user's ETLs a table is for: each is a module of the folder `etl`."""

from pathlib import Path

DEFAULT = "members"


class UnknownEtl(ValueError):
    """There is no ETL of that name, or none was chosen."""


def names(folder: Path) -> list[str]:
    """The ETLs there. What begins with _ is not one, but what they share."""
    stems = (path.stem for path in folder.glob("*.py"))
    return sorted(stem for stem in stems if stem.isidentifier() and not stem.startswith("_"))


def known(folder: Path, name: str | None) -> str | None:
    """A name, if there is an ETL that has it."""
    return name if name in names(folder) else None


def choose(folder: Path, *asked: str | None) -> str:
    """
    Args:
        asked: names, of which the first that is given counts; without any the only ETL, or DEFAULT.

    Raises:
        UnknownEtl: says what was asked for, and those that are there.
    """
    there = names(folder)
    name = next(filter(None, asked), None)
    chosen = name or (there[0] if len(there) == 1 else DEFAULT)
    if chosen not in there:
        rule = f"must be one of {', '.join(there)}" if there else "etl/ must hold one"
        raise UnknownEtl(f"etl: {rule}; found {repr(name) if name else 'none chosen'}")
    return chosen
