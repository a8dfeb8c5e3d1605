"""What a run of the bench found: rows with targets, and their medians and spreads."""

import dataclasses
import statistics


@dataclasses.dataclass
class Row:
    """One line of the table. `samples` has one figure a round, in `unit`."""

    key: str
    work: str
    figure: str
    unit: str  # "x" for ratios
    at_most: float | None = None
    at_least: float | None = None
    samples: list = dataclasses.field(default_factory=list)
    note: str = ""

    @property
    def median(self):
        return statistics.median(self.samples) if self.samples else None

    @property
    def target(self):
        if self.at_most is not None:
            return f"≤ {show(self.at_most, self.unit)}"
        return f"≥ {show(self.at_least, self.unit)}" if self.at_least is not None else ""

    @property
    def verdict(self):
        if self.median is None:
            return "not measured"
        if self.at_most is not None:
            return "pass" if self.median <= self.at_most else "MISS"
        if self.at_least is not None:
            return "pass" if self.median >= self.at_least else "MISS"
        return ""

    def as_json(self):
        return {
            "key": self.key, "work": self.work, "figure": self.figure, "unit": self.unit,
            "at_most": self.at_most, "at_least": self.at_least, "median": self.median,
            "low": min(self.samples, default=None), "high": max(self.samples, default=None),
            "samples": self.samples, "verdict": self.verdict, "note": self.note,
        }


UNITS = {"x": "", "us": " µs", "ms": " ms", "MB": " MB"}


def show(value, unit):
    """A figure with three digits that matter, and its unit."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text + UNITS[unit]


@dataclasses.dataclass
class Contender:
    """A server under the small model's load, over all rounds."""

    name: str
    connections: int
    requests_per_s: float
    cpu_us: float
    p50_us: float
    p99_us: float

    @classmethod
    def of(cls, name, connections, rounds):
        median = {field: statistics.median(getattr(one, field) for one in rounds)
                  for field in ("requests_per_s", "cpu_us", "p50_us", "p99_us")}
        return cls(name, connections, **median)
