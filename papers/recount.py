"""Samples seen, counted again from what the papers say of their data sets, epochs and batches.

Sizes are those of the public logs of Hydra: they follow from the number of steps per epoch and from the
fractions in which accuracy, recall and specificity come.
"""

from collections.abc import Iterable, Mapping

TARGET = "prostatex"
PATCHES = {"prostatex": 25_314, "brain": 36_000, "lungx": 15_600}
"""Training patches: 211·60 + 57·222, (76 + 104)·200 and (33 + 32)·240."""
VALIDATION = {"prostatex": 2_276, "brain": 9_200, "lungx": 3_840}
"""Validation patches: 19·60 + 8·142, (20 + 26)·200 and (9 + 7)·240."""
EPOCHS = 2_000
"""Of each phase of classical, transfer and Hydra."""


def patches(negatives: int, positives: int, majority_views: int) -> int:
    """Patches of a balanced split: the larger class has ``majority_views`` each, the smaller one its share.

    >>> patches(211, 57, 60)
    25314
    """
    few, many = sorted((negatives, positives))
    return many * majority_views + few * (majority_views * many // few)


def passes(datasets: Iterable[str], epochs: int = EPOCHS, sizes: Mapping[str, int] = PATCHES) -> int:
    """Samples of ``epochs`` full passes over each data set named; one named twice counts twice."""
    return sum(epochs * sizes[dataset] for dataset in datasets)


def classical() -> int:
    """Training on the target alone."""
    return passes([TARGET])


def transfer() -> int:
    """The target, both support sets, and the target again."""
    return passes([TARGET, "brain", "lungx", TARGET])


def hydra() -> int:
    """The target, then both support sets and the target again, each frozen and in full."""
    return passes([TARGET]) + 2 * passes(["brain", "lungx", TARGET])


def typhon(*, epochs: int = 10_000, batch: int = 8, specialization: int = 300) -> dict[str, int]:
    """Samples by kind: of training, of the specialization on the target, and scored in the bootstrap.

    The bootstrap is an upper bound, as the public code breaks off a candidate that scores below one half;
    it scores 200 candidates on the training and validation patches of all data sets.
    """
    return {
        "training": epochs * len(PATCHES) * batch,
        "specialization": passes([TARGET], specialization),
        "bootstrap": passes(PATCHES, 200) + passes(VALIDATION, 200, VALIDATION),
    }


def trained() -> dict[str, int]:
    """Training samples of each method of Typhon's Table II."""
    own = typhon()
    return {
        "classical": classical(),
        "transfer": transfer(),
        "hydra": hydra(),
        "typhon": own["training"] + own["specialization"],
    }
