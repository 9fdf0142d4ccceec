"""Numbers that the papers print for their figures; all are of PROSTATEx."""

METRICS = ("accuracy", "precision", "recall", "f1", "specificity", "auroc")
"""At the threshold one half, but for the last."""

TEST = {"classical": 41 / 60, "transfer": 43 / 60, "hydra": 48 / 60, "typhon": 52 / 60}
"""AUROC on the test set: Hydra's Table II and Typhon's Table II, as the shares of 60 pairs that they are."""

VALIDATION = {"classical": 0.73, "transfer": 0.86, "hydra": 0.77, "typhon": 0.68}
"""AUROC in validation: the same tables."""

BEST: dict[str, tuple[int, float, float]] = {
    "classical": (21, 0.7525, 0.765),
    "DS1/Full": (497, 0.6340, 0.7359),
    "DS2/Frozen": (594, 0.7799, 0.8379),
    "DS2/Full": (264, 0.8233, 0.8566),
    "DS3/Frozen": (999, 0.6617, 0.7019),
    "DS3/Full": (345, 0.6924, 0.7197),
    "DS4/Frozen": (999, 0.7803, 0.7743),
    "DS4/Full": (50, 0.7307, 0.7592),
}
"""Best epoch, and accuracy and AUROC in validation then: the thesis' section 5.3 and its Table 6.3."""

BEFORE = dict(zip(METRICS, (0.6842, 0.3333, 0.5, 0.4, 0.7333, 0.6833), strict=True))
AFTER = dict(zip(METRICS, (0.7368, 0.4286, 0.75, 0.5454, 0.7333, 0.7667), strict=True))
"""On the test set, before and after transfer learning: the thesis' Table 6.3, DS1/Full and DS4/Full."""

THESIS_ROC = 0.75
"""Area under the curve of the thesis' Figure 5.7."""
