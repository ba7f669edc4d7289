"""A model beside the trained one, and so another version: `python -m tests.integration.second_model FOLDER`.

The folder is then one of models, as antifraud/trained is: the trained one, and the second beside it. Prints both
versions.
"""

from __future__ import annotations

import sys
from pathlib import Path

from antifraud.model import TRAINED, Layer, Model, load, save

#: In the model's units of 1/4096 of a logit: some of the verdicts are other ones, by no means all.
MORE = 4096


def second() -> Model:
    """The trained network with a last bias by which transactions are a little better."""
    trained = load(TRAINED)
    *inner, last = trained.layers
    return Model([*inner, Layer(last.weights, last.biases + MORE)], trained.form)


def write(folder: Path) -> tuple[str, str]:
    """Write both models; return the versions of the trained one and of the second."""
    trained, other = load(TRAINED), second()
    save(trained, folder)
    save(other, folder / other.version)
    return trained.version, other.version


if __name__ == "__main__":
    print(*write(Path(sys.argv[1])))  # noqa: T201  # for whoever has called it
