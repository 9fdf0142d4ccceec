"""The plan of a grid search, what a diverging candidate does to it, and a small one on synthetic data."""

import re

import pytest

from tests.test_workflow import DEMO, STUB, bare_project, copy_project, plan, snakemake

SEARCH = """\
seeds: [0]
split: {kind: repeats, n: 2, validation: 0.2, test: 0.3}
search: {method: typhon, grid: {training.learning_rate: [1.0e-3, 1.0e-4]}}
"""
FAILING = STUB.replace('if Path("fail").exists() and module in', 'if Path("fail").exists() and log in')
JOBS = ["-n", "--quiet", "reason"]


@pytest.fixture
def project(tmp_path):
    """A folder with the settings of a search."""
    folder = bare_project(tmp_path)
    (folder / "config" / "search.yaml").write_text(SEARCH)
    return folder


SEARCHED = (*DEMO[:2], "--configfile", "config/demo.yaml", "config/search.yaml", "search")


class TestPlan:
    def test_every_candidate_has_a_run_per_fold_and_the_bootstraps_are_shared(self, project):
        rules = plan(project, *SEARCHED)
        assert rules["train_model"] == rules["predict_findings"] == 2 * 2
        assert rules["bootstrap_network"] == 2
        assert rules["build_patches"] == 3
        assert rules["score_candidates"] == rules["draw_candidates"] == rules["search"] == 1
        assert "score_method" not in rules
        printed = snakemake(project, *SEARCHED, "-np")
        runs = re.findall(r"--out (results/search/\S+/)model.safetensors", printed)
        assert sorted(runs) == [
            f"results/search/typhon/candidate{n}/fold{fold}/seed0/" for n in (0, 1) for fold in (0, 1)
        ]
        rates = re.findall(
            r'"name": "training"[^}]*"learning_rate": ([0-9.e-]+)', snakemake(project, *SEARCHED, "-np")
        )
        assert sorted(map(float, rates)) == [1e-4, 1e-4, 1e-3, 1e-3]

    def test_five_folds_and_four_rates_are_planned_in_one_call(self, project):
        grid = "search={grid: {training.learning_rate: [1e-2, 1e-3, 1e-4, 1e-5]}}"
        rules = plan(
            project, *SEARCHED, "--config", "split={kind: folds, n: 5}", grid, "--resources", "gpu=5"
        )
        assert rules["train_model"] == 20
        assert rules["bootstrap_network"] == 5

    def test_it_is_no_part_of_all(self, project):
        rules = plan(project, *SEARCHED[:-1], "--config", "split={kind: holdout, n: 1}")
        assert rules["train_model"] == 1
        assert "score_candidates" not in rules

    def test_a_grid_that_leaves_out_a_phase_shares_the_bootstraps_as_well(self, project):
        grid = "search={grid: {training.learning_rate: [1e-3], specialization.epochs: [0, 1]}}"
        own = "comparison={target_samples: null}"
        assert plan(project, *SEARCHED, "--config", grid, own)["bootstrap_network"] == 2

    def test_one_candidate_s_files_can_be_asked_for(self, project):
        file = "results/search/typhon/candidate1/fold0/seed0/model.safetensors"
        assert plan(project, *SEARCHED[:-1], file)["train_model"] == 1


class TestMessages:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (
                (*DEMO, "search"),
                "E-CONFIG search/method: expected a method, found nothing; name a method and a grid",
            ),
            (
                (*SEARCHED[:-1], "results/search/typhon/candidate2/fold0/seed0/model.safetensors"),
                "/seed0/model.safetensors?",  # did you mean that of another candidate?
            ),
            (
                (*SEARCHED, "--config", "search={grid: {training.learning_rat: [1e-3]}}"),
                "E-CONFIG search/grid/training.learning_rat: found an unknown key; did you mean training.learning_rate?",
            ),
        ],
    )
    def test_a_search_that_cannot_be_is_one_line_before_anything_runs(self, project, words, said):
        printed = snakemake(project, *words, "-n", status=1)
        assert said in printed
        assert "Traceback" not in printed
        assert not (project / "demo/data").exists()


def test_a_candidate_that_diverges_stops_no_other_and_can_be_left_out(tmp_path):
    project = copy_project(tmp_path)  # with a stub for every step, which fails for the logs named in ``fail``
    (project / "workflow" / "execute.py").write_text(FAILING)
    (project / "config" / "search.yaml").write_text(SEARCH)
    log = "logs/results/search/typhon/candidate0/fold1/seed0/model.log"
    (project / "demo").mkdir()
    (project / "demo/fail").write_text(log)
    printed = snakemake(project, *SEARCHED, status=1)
    assert printed.rpartition("Failed: ")[2].count("E-TEST") == 1
    folder = project / "demo/results/search/typhon"
    assert len(list(folder.glob("candidate*/fold*/seed0/predictions.csv"))) == 3
    assert not (folder / "candidates.csv").exists()
    (project / "demo/fail").unlink()
    again = plan(project, *SEARCHED)  # without an answer the search wants that candidate
    assert (again["train_model"], again["score_candidates"]) == (1, 1)
    left_out = (*SEARCHED, "--config", "search={skip: [0]}")
    assert plan(project, *left_out) == {"score_candidates": 1, "draw_candidates": 1, "search": 1}
    snakemake(project, *left_out)
    assert " --skip 0 " in (project / "demo/logs/results/search/typhon/candidates.log").read_text()
    assert plan(project, *left_out) == {}

    longer = "search={grid: {training.learning_rate: [1e-3, 1e-4, 1e-5]}, skip: [0]}"
    assert plan(project, *SEARCHED, "--config", longer)["train_model"] == 2  # the new value's runs alone
