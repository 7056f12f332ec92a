"""Run the scripts beside this one, each in a process of its own, and print one table of all results: `python benchmarks/run.py [NAME ...] [--repeats 7] [--threads N]`.

Without names all are run. `--table` prints the table of the results that are there, and runs nothing; `--markdown` prints it in Markdown."""
import argparse
import json
import subprocess
import sys
from pathlib import Path

from common import RESULTS, cells, header, line

NAMES = ("path", "velocity", "jbu", "growth", "attention", "text", "memory", "startup", "gpu")


def markdown_line(pieces):  # numbers stay together with their units
    name, *numbers, result = (x.replace("|", "/") for x in pieces)
    return " | ".join(["", name, *(x.replace(" ", "\N{NO-BREAK SPACE}") for x in numbers), result, ""]).strip()


def table(names, markdown=False):
    "The results that are stored, as text; those from one machine and threads under one heading."
    found = [json.loads(path.read_text()) for path in (RESULTS / f"{name}.json" for name in names) if path.exists()]
    form, rule = (markdown_line, ["|---|---:|---:|---:|---:|---:|---|"]) if markdown else (line, [])
    lines, about = [], None
    for one in found:
        if one["machine"] != about:
            about = one["machine"]
            lines += [", ".join(f"{key} {value}" for key, value in about.items()), ""]
        lines += [f"{one['about']} {one['repeats']} repeats, medians.", *[""] * markdown, form(header(one["columns"])), *rule, *(form(cells(row)) for row in one["rows"]), ""]
    rows = [row for one in found for row in one["rows"] if row.get("target")]
    lines.append(f"{sum(row['met'] for row in rows)} of {len(rows)} targets met")
    if not markdown:
        lines += [f"  missed: {row['name']}" for row in rows if not row["met"]]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--table", action="store_true", help="only print what is stored")
    parser.add_argument("--markdown", action="store_true", help="print it in Markdown")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, help="torch's choice by default")
    args = parser.parse_args()
    names = args.names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no script {', '.join(sorted(unknown))}, expected some of {', '.join(NAMES)}")
    options = ["--repeats", str(args.repeats)] + (["--threads", str(args.threads)] if args.threads else [])
    for name in () if args.table else names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py"), *options], check=True, stdout=subprocess.DEVNULL)
    text = table(names)
    print(table(names, True) if args.markdown else text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "table.txt").write_text(text + "\n")
