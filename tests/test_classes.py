"""One owner of classes and labels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.classes import UNKNOWN, UNNAMED, Classes, merged, of_columns

THREE = Classes(("normal", "benign", "malignant"))
SIGNS = Classes(("mass", "nodule"), multilabel=True)


def of_labels(*rows):
    return pd.DataFrame(rows, columns=SIGNS.label_columns)


def test_two_classes_are_one_problem_and_three_are_one_against_the_rest():
    table = pd.DataFrame({"label": [0, 1, UNKNOWN]})
    assert UNNAMED.truth(table).tolist() == [[0], [1], [UNKNOWN]]
    table = pd.DataFrame({"label": [0, 2, UNKNOWN]})
    assert THREE.truth(table).tolist() == [[1, 0, 0], [0, 0, 1], [UNKNOWN] * 3]
    assert (UNNAMED.problems, THREE.problems) == (("label 1",), ("normal", "benign", "malignant"))


def test_several_labels_are_a_problem_each_and_may_be_unknown():
    table = of_labels((1, 0), (UNKNOWN, 1))
    assert SIGNS.truth(table).tolist() == [[1, 0], [UNKNOWN, 1]]
    assert SIGNS.counts(table) == {"mass": 1, "nodule": 1}
    assert THREE.counts(pd.DataFrame({"label": [0, 2, 2]})) == {"normal": 1, "benign": 0, "malignant": 2}


def test_columns_of_tables_are_those_of_the_contract():
    assert (UNNAMED.label_columns, UNNAMED.columns()) == (["label"], ["score"])
    assert (THREE.label_columns, THREE.columns()) == (
        ["label"],
        ["score_normal", "score_benign", "score_malignant"],
    )
    assert (SIGNS.label_columns, SIGNS.columns("single")) == (
        ["label_mass", "label_nodule"],
        ["single_mass", "single_nodule"],
    )


@pytest.mark.parametrize("classes", [UNNAMED, THREE, SIGNS])
def test_classes_are_read_off_the_columns(classes):
    assert of_columns(["view", *classes.label_columns, *classes.columns()]) == classes


def test_probabilities_are_those_of_softmax_and_sigmoid():
    assert UNNAMED.probabilities(np.array([[0.0, np.log(3)]])) == pytest.approx(np.array([[0.75]]))
    assert THREE.probabilities(np.log([[1.0, 2.0, 5.0]])) == pytest.approx(np.array([[0.125, 0.25, 0.625]]))
    assert SIGNS.probabilities(np.array([[0.0, np.log(3)]])) == pytest.approx(np.array([[0.5, 0.75]]))


def test_losses_are_logarithms_of_the_right_probability_and_leave_out_the_unknown():
    logits = np.log([[1.0, 2.0, 5.0]])
    assert THREE.losses(logits, np.array([1])) == pytest.approx([np.log(4)])
    logits = np.array([[0.0, np.log(3)], [5.0, 0.0]])
    found = SIGNS.losses(logits, np.array([[1, 1], [UNKNOWN, 0]]))
    assert found == pytest.approx([np.log(2), np.log(4 / 3), np.log(2)])


@given(arrays(np.float32, (4, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_probabilities_of_any_logits_are_probabilities(logits):
    for classes in (THREE, Classes(("a", "b", "c"), multilabel=True)):
        found = classes.probabilities(logits)
        assert ((found >= 0) & (found <= 1)).all()
    assert THREE.probabilities(logits).sum(1) == pytest.approx(np.ones(4))


def test_two_classes_as_softmax_of_three_logits_of_which_one_is_far_below():
    logits = np.array([[0.3, 1.1], [2.0, -1.0]])
    more = np.concatenate([logits, np.full((2, 1), -1e9)], axis=1)
    assert THREE.probabilities(more)[:, 1:2] == pytest.approx(UNNAMED.probabilities(logits))


def test_the_stratum_of_several_labels_is_the_rarest_that_a_row_has():
    table = of_labels((1, 0), (1, 1), (0, 1), (0, 1), (0, 0))  # mass twice, nodule three times
    assert SIGNS.strata(table).tolist() == [1, 1, 2, 2, 0]


def test_metrics_are_those_that_mean_something():
    assert "specificity" in UNNAMED.metrics
    assert THREE.metrics == ("loss", "auroc", "accuracy")
    assert SIGNS.metrics == ("loss", "auroc")


def test_a_table_of_several_data_sets_has_the_columns_of_each_in_its_order():
    one = Classes(("a", "b", "c"))
    other = Classes(("x", "b", "c"))
    labels, scores = merged([UNNAMED, one, other, SIGNS])
    assert labels == ["label", "label_mass", "label_nodule"]
    for classes in (one, other, SIGNS):
        assert [name for name in scores if name in classes.columns()] == classes.columns()


def test_the_order_of_columns_follows_from_that_of_the_data_sets_alone():
    several = [Classes((name, "other", "z")) for name in "cabd"]
    assert merged(several)[1] == ["score_c", "score_a", "score_b", "score_d", "score_other", "score_z"]


def test_of_findings_without_a_class_there_is_no_loss():
    three = Classes(("a", "b", "c"))
    assert three.losses(np.zeros((2, 3)), np.array([255, 1])).tolist() == [pytest.approx(np.log(3))]


def test_contrary_orders_of_classes_have_no_table():
    with pytest.raises(ValueError, match="contrary orders of score_a, score_b"):
        merged([Classes(("a", "b", "c")), Classes(("b", "a", "d"))])


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", ""), tuple(map(str, range(256)))])
def test_names_that_cannot_be_told_apart_are_refused(names):
    with pytest.raises(ValueError, match="different ones"):
        Classes(names)
