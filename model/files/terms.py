"""Licence and citation of pretrained weights, for cards, report and ``cite``: ``config/weights.csv``."""

import csv
import re
from pathlib import Path

from model.networks import FILES
from pipeline.provenance import ROOT

OF_RUN = re.compile(r"([^/]+)/(fold\d+)/(seed\d+)/(?:(best)/)?model\.safetensors$")
"""The model file of a run."""
TABLE = ROOT / "config" / "weights.csv"


def terms(network: str, weights: str) -> dict[str, str]:
    """Licence, citation, DOI and address of published weights as far as they have them; of others nothing."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (row.pop("network"), row.pop("weights")) == (network, weights):
                return {name: text for name, text in row.items() if text}
    return {}


def called(weights: str) -> str:
    """What model files and cards call weights: published ones as the config, a file by its name alone.

    >>> called("../other/results/typhon/fold0/seed1/best/model.safetensors")
    'typhon fold0 seed1 best'
    """
    if run := OF_RUN.search(weights):
        return " ".join(filter(None, run.groups()))
    return Path(weights).name if weights.endswith(FILES) else weights


def entry(network: str, weights: str, digest: str) -> dict[str, str]:
    """What a card says of weights: whose they are, SHA-256, :func:`terms`; of a file its name alone."""
    return {
        "network": network,
        "weights": called(weights),
        "weights_sha256": digest,
        **terms(network, weights),
    }
