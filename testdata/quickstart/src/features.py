"""The columns a measurement has, and how a file of them is read."""

import csv

NAMES = ["rms", "peak", "kurtosis", "temperature"]


def read(path):
    """Return the measurements in `path` as (features, label) pairs."""
    with open(path, newline="", encoding="utf-8") as file:
        return [
            ([float(row[name]) for name in NAMES], int(row["worn"]))
            for row in csv.DictReader(file)
        ]
