"""The tables of a run: Markdown for the terminal and docs/performance.md, JSON for programs."""

import json

from results import show

BEGIN = "<!-- bench: begin (make bench writes this part) -->"
END = "<!-- bench: end -->"


def as_json(found):
    return json.dumps({**found, "rows": [row.as_json() for row in found["rows"]],
                       "extra_rows": [row.as_json() for row in found["extra_rows"]],
                       "contenders": [vars(one) for one in found["contenders"]]}, indent=1) + "\n"


def as_markdown(found):
    parts = [_head(found), _targets(found["rows"]), _contenders(found["contenders"]),
             _extra(found["extra_rows"])]
    if found["left_out"]:
        parts.append("**Left out of this run:** "
                     + "; ".join(f"{one['what']} ({one['why']})" for one in found["left_out"]) + ".")
    return "\n\n".join(part for part in parts if part)


def _head(found):
    machine = found["machine"]
    load = " → ".join(f"{value:.1f}" for value in found["load_average"])
    return (f"{found['date']}, {machine['cpus']} cores of {machine['processor']}, Linux "
            f"{machine['kernel']}; load average before → after {load}; {found['rounds']} rounds of "
            f"{found['round_seconds']} s, {found['took_s']:.0f} s in all. "
            + ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".")


def _spread(row):
    if not row.samples:
        return ""
    return f"{show(min(row.samples), row.unit)} … {show(max(row.samples), row.unit)}"


def _figure(row):
    return show(row.median, row.unit) if row.samples else "–"


def _table(head, lines):
    rule = "| " + " | ".join("---" for _ in head) + " |"
    return "\n".join(["| " + " | ".join(head) + " |", rule,
                      *("| " + " | ".join(cells) + " |" for cells in lines)])


def _targets(rows):
    return _table(["work", "measure", "target", "median", "spread", "", "beside it"],
                  [[row.work, row.figure, row.target, _figure(row), _spread(row), row.verdict, row.note]
                   for row in rows])


def _contenders(contenders):
    if not contenders:
        return ""
    lines = [[one.name, f"{one.requests_per_s:.0f}", f"{one.cpu_us:.1f}", f"{one.p50_us / 1e3:.2f}",
              f"{one.p99_us / 1e3:.2f}"] for one in contenders]
    return (f"The small model, one JSON row a request, {contenders[0].connections} connections (medians):\n\n"
            + _table(["server", "requests/s", "server CPU a request, µs", "p50, ms", "p99, ms"], lines))


def _extra(rows):
    if not rows:
        return ""
    lines = [[row.work, row.figure, _figure(row), _spread(row), row.note] for row in rows]
    return "Without targets:\n\n" + _table(["work", "measure", "median", "spread", "beside it"], lines)


def publish(document, markdown):
    """Puts the tables between the document's markers."""
    text = document.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{document} needs one line {BEGIN} and below it one line {END}")
    head, rest = text.split(BEGIN)
    document.write_text(f"{head}{BEGIN}\n\n{markdown}\n\n{END}{rest.split(END)[1]}")
