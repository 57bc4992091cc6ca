"""Numbers and times as a person says them."""


def pluralize(number: int, noun: str) -> str:
    """A number of things, as in 1 array or 2 arrays."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def number(value: float) -> str:
    """A number in six digits, or in as many as it takes to tell it from every other."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def duration(seconds: float) -> str:
    """A time as a person says it: 40 s, 12 min, 3.4 h, 2.1 days."""
    for unit, size, least in (("days", 86_400.0, 2.0), ("h", 3_600.0, 1.0), ("min", 60.0, 1.5)):
        if seconds >= least * size:
            return (
                f"{seconds / size:.0f} {unit}"
                if seconds >= 20 * size or unit == "min"
                else f"{seconds / size:.1f} {unit}"
            )
    return f"{seconds:.0f} s"
