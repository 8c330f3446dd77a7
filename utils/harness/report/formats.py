"""Figures as people read them; the exact value goes beside them in a <data> element."""


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(count: int) -> str:
    """Decimal units, as S3 and the browsers count."""
    if count < 1000:
        return f"{count} B"
    value, units = count / 1000, ["kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{value:.3g} {units[0]}"


def megabytes(count: int) -> str:
    return f"{count} MB"


def number(count: float) -> str:
    return f"{count:,}"


def dollars(amount: float) -> str:
    return (
        f"${amount:.2f}" if amount >= 1 else f"${amount:.2g}" if amount >= 0.0001 else "< $0.0001"
    )


def cell(value: float) -> str:
    """Of four decimals at most."""
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.5g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def plain(value: float) -> str:
    return f"{value:,.10g}"
