"""Recomputes the figures of docs/scale.md from the assumptions that stand there. Argument: the page.

Tables of assumptions have rows `| name | value | what |`, tables of figures `| name | `formula` | value | what |`; names are Python's.
"""

import ast
import math
import pathlib
import re
import sys

import checks

ALLOWED = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Load, ast.Call, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub)
FUNCTIONS = {"ceil": math.ceil, "min": min, "max": max}


def rows(page):
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) in (3, 4):
            yield cells


def number(text):
    return float(text.replace(",", "").replace("$", ""))


def evaluate(formula, known):
    tree = ast.parse(formula, mode="eval")
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED):
            raise AssertionError(f"{formula}: {type(node).__name__} is no arithmetic")
    return eval(compile(tree, formula, "eval"), {"__builtins__": {}}, {**FUNCTIONS, **known})


def model(page):
    """Names with their values, and what is printed wrong."""
    known, wrong, figures = {}, [], 0
    for cells in rows(page):
        name = cells[0].strip("`")
        if name in known:
            raise AssertionError(f"{name} stands twice")
        if len(cells) == 3:
            known[name] = number(cells[1])
            continue
        figures += 1
        known[name] = evaluate(cells[1].strip("`"), known)
        printed = cells[2]
        decimals = len(printed.partition(".")[2])
        if abs(known[name] - number(printed)) > 0.5 * 10**-decimals + 1e-9:
            wrong.append(f"{name}: the page says {printed}, the formula {known[name]:,.{decimals}f}")
    return known, wrong, figures


def check_every_figure_is_what_its_formula_gives(page):
    _, wrong, figures = model(page)
    checks.equal(wrong, [], "figures")
    checks.equal(figures > 20, True, f"{figures} figures")


def check_every_assumption_is_used(page):
    text = page.read_text()
    formulas = " ".join(cells[1] for cells in rows(page) if len(cells) == 4)
    for cells in rows(page):
        if len(cells) == 3:
            name = cells[0].strip("`")
            checks.equal(re.search(rf"\b{name}\b", formulas) is not None, True, f"{name} is used")
    checks.equal(text.count("https://") > 3, True, "sources of prices")


def check_prices_are_the_doctors(page):
    known, _, _ = model(page)
    source = (page.parent.parent / "flight-server/src/cli/doctor/prices.rs").read_text()
    for ours, theirs in {"SHARD_HOUR": "shard_hour", "FAN_OUT_SHARD_HOUR": "fan_out_shard_hour", "FAN_OUT_GB": "fan_out_gb"}.items():
        value = float(re.search(rf"const {ours}: f64 = ([\d.]+);", source).group(1))
        checks.equal(known[theirs], value, theirs)


if __name__ == "__main__":
    checks.run(globals(), pathlib.Path(sys.argv[1]))
