"""What becomes of figures: medians, ratios, and tables of them."""

import statistics
import sys


def rotated(items, by):
    """Each round starts with another, and every other round goes backwards."""
    by_index = by % len(items)
    order = items[by_index:] + items[:by_index]
    return order[::-1] if by % 2 else order


def median(rounds, *path):
    """The median over the rounds of one figure; None where there is none."""
    found = [figure(r, *path) for r in rounds]
    found = [f for f in found if f is not None]
    return statistics.median(found) if found else None


def figure(measured, *path):
    for key in path:
        measured = measured[key]
    return measured


def ratios(rounds, baseline, key="server_cpu_us_per_request"):
    """One figure to the baseline's in the same round: median, least, most."""
    base = {r["round"]: r[key] for r in baseline}
    found = [r[key] / base[r["round"]] for r in rounds if r[key] and base.get(r["round"])]
    if not found:
        return None
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def show(value, decimals=0):
    return "-" if value is None else f"{value:,.{decimals}f}"


def show_ratio(ratio):
    if ratio is None:
        return "-"
    return f"{ratio['median']:.2f} ({ratio['min']:.2f}\u2013{ratio['max']:.2f})"


def columns(rows):
    """The first column to the left, the others to the right."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = [[r[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(r[1:], widths[1:])]
             for r in rows]
    return "".join("  ".join(line).rstrip() + "\n" for line in lines)


def progress(text):
    """What is being measured, on the last line of a terminal; empty: nothing any more."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def rounds_of(this, bench, servers, measure, rounds_max=100):
    """Every server in every round, in turn: a cell for each, with its rounds' figures."""
    cells = [{"server": s.name, "rounds": []} for s in servers]
    for number in range(min(bench.options.rounds, rounds_max)):
        for server, cell in rotated(list(zip(servers, cells)), number):
            progress(f"{this.name}: round {number + 1}, {server.name}")
            figures = measure(server)
            if figures:
                cell["rounds"].append({"round": number, **figures})
    progress("")
    return cells


def table_of(title, cells, baseline, shown, compared):
    """A table of medians. shown: (heading, figure, decimals); compared: the figure of which the
    ratio to the baseline's is taken."""
    base = next((c["rounds"] for c in cells if c["server"] == baseline), [])
    rows = [[title, *(heading for heading, _, _ in shown), f"to {baseline}"]]
    for cell in cells:
        rows.append([cell["server"],
                     *(show(median(cell["rounds"], key), decimals) for _, key, decimals in shown),
                     show_ratio(ratios(cell["rounds"], base, compared))])
    return "\n" + columns(rows)
