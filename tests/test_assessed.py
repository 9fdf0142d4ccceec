"""What the tests of several folds come to together, and which shares of classes their probabilities are for."""

import numpy as np
import pandas as pd

from model.evaluation.assessed import Assessed
from model.evaluation.assessment import counts, operating_rows
from model.evaluation.intervals import Fold
from model.evaluation.operating import OperatingPoint
from model.evaluation.predictions import Predictions
from model.evaluation.summary import folds_of
from pipeline.classes import UNNAMED


def of_fold(fold: int, *findings: tuple[str, str, int], split: str = "test") -> Predictions:
    """A run that scores these findings (patient, finding, label) alike."""
    table = pd.DataFrame(findings, columns=["patient_id", "finding_id", "label"])
    table = table.assign(group_id=table["patient_id"], score=0.5, single=0.5)
    return Predictions(fold, 0, "t", split, "last", table, UNNAMED)


def test_a_finding_counts_once_where_folds_test_other_findings_of_a_patient() -> None:
    """As with repeats and a balanced test: both folds have a1, which is positive, and one more finding of a."""
    folds = folds_of([of_fold(0, ("a", "1", 1), ("a", "2", 0)), of_fold(1, ("a", "0", 0), ("a", "1", 1))])
    one = Assessed("m", "", ((0, 0), (1, 0)), (), tuple(folds), (0.5, 0.5), (0.5, 0.5))
    assert counts(one, "finding") == {"count": 3, "positives": 1, "groups": 1}


def test_a_patient_is_positive_if_a_finding_of_any_fold_is() -> None:
    folds = folds_of([of_fold(0, ("a", "1", 1), ("b", "1", 0)), of_fold(1, ("a", "2", 0), ("c", "1", 1))])
    one = Assessed("m", "", ((0, 0), (1, 0)), (), tuple(folds), (0.5, 0.5), (0.5, 0.5))
    assert counts(one, "patient, highest") == {"count": 3, "positives": 2, "groups": 3}


def test_predictive_values_are_for_the_classes_of_a_balanced_test() -> None:
    """Each fold has one positive of two findings, both folds together one of three."""
    folds = folds_of([of_fold(0, ("a", "1", 1), ("a", "2", 0)), of_fold(1, ("a", "0", 0), ("a", "1", 1))])
    known = Fold(np.array(["e", "f"]), np.array([1, 0]), np.array([[0.7, 0.3]]))
    found = []
    for balanced in (None, (0.5, 0.5)):
        one = Assessed(
            "m", "", ((0, 0), (1, 0)), (known, known), tuple(folds), (0.1, 0.1), (0.5, 0.5), balanced=balanced
        )
        found += [row["prevalence"] for row in operating_rows(one, [OperatingPoint()], None)[:1]]
    assert found == [1 / 3, 1 / 2]
