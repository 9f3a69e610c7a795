"""Say how often the model is right: python src/predict.py [FILE]"""

import json
import pathlib
import sys

import features

ROOT = pathlib.Path(__file__).resolve().parent.parent


def worn(model, row):
    """Return whether the measurement comes from a worn bearing."""
    scaled = [(v - m) / s for v, m, s in zip(row, model["means"], model["spreads"])]
    return sum(w * v for w, v in zip(model["weights"], scaled)) + model["bias"] > 0


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else ROOT / "data" / "test.csv"
    model = json.loads((ROOT / "model" / "weights.json").read_text(encoding="utf-8"))
    rows = features.read(path)
    right = sum(worn(model, row) == bool(label) for row, label in rows)
    print(f"{right} of {len(rows)} right")


if __name__ == "__main__":
    main()
