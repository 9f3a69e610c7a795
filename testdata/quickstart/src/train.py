"""Fit a logistic regression and write its weights: python src/train.py"""

import json
import math
import pathlib

import features

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATE, EPOCHS = 0.5, 400


def main():
    rows = features.read(ROOT / "data" / "train.csv")
    columns = list(zip(*(row for row, _ in rows)))
    means = [sum(column) / len(column) for column in columns]
    spreads = [
        math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
        for column, mean in zip(columns, means)
    ]
    weights, bias, history = [0.0] * len(means), 0.0, []
    for epoch in range(EPOCHS):
        gradient, shift, loss = [0.0] * len(weights), 0.0, 0.0
        for row, worn in rows:
            scaled = [(v - m) / s for v, m, s in zip(row, means, spreads)]
            guess = 1 / (1 + math.exp(-sum(w * v for w, v in zip(weights, scaled)) - bias))
            gradient = [g + (guess - worn) * v for g, v in zip(gradient, scaled)]
            shift += guess - worn
            loss -= math.log(guess if worn else 1 - guess)
        weights = [w - RATE * g / len(rows) for w, g in zip(weights, gradient)]
        bias -= RATE * shift / len(rows)
        if epoch % 4 == 0:
            history.append(round(loss / len(rows), 6))
    model = {
        "features": features.NAMES,
        "means": [round(v, 6) for v in means],
        "spreads": [round(v, 6) for v in spreads],
        "weights": [round(v, 6) for v in weights],
        "bias": round(bias, 6),
        "loss": history,
    }
    (ROOT / "model" / "weights.json").write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
