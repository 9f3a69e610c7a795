"""The figures of the rows: in docs/performance.json, of which the page and the charts are made."""

import json
import os
import tempfile


def entry(name, title, where, rows):
    """Returns what is kept of a row: where it ran, and what each of its lines came to."""
    results = [{"what": row.what, "measured": row.measured, "must": row.must, "verdict": row.verdict, **row.figures}
               for row in rows]
    return {"row": name, "title": title, **where, "results": results}


def merge(old, new):
    """Returns the entries of both in the order of the page; a row that was measured again is the new one."""
    found = {it["row"]: it for it in [*old, *new]}
    return sorted(found.values(), key=lambda it: ("." in it["row"], [int(number) for number in it["row"].split(".")]))


def read(path):
    return json.loads(path.read_text())["rows"] if path.exists() else []


def text(entries):
    """Returns the file: a line for each result, so that a row that was measured again is a short difference."""
    rows = []
    for entry in entries:
        head = line({name: value for name, value in entry.items() if name != "results"})
        results = ",\n".join(f"    {line(it)}" for it in entry["results"])
        rows.append(f'  {head[:-1]}, "results": [\n{results}\n  ]}}')
    return '{"rows": [\n' + ",\n".join(rows) + "\n]}\n"


def line(value):
    return json.dumps(value, ensure_ascii=False)


def replace(path, content):
    """Writes a file so that it is the old or the new one at any moment."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(content)
    os.chmod(name, 0o644)
    os.replace(name, path)
