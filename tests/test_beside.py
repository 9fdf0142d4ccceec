"""The challenge and the baselines in the workflow: what is planned, what is said first, and a run on phantoms."""

import json

import pytest

from papers.challenge import read_official, read_submission
from pipeline.files import read_csv
from tests.test_config import changed
from tests.test_workflow import DEMO, bare_project, plan, snakemake
from workflow import raw, side_collections
from workflow.config import checked

ADC = "{kind: prostatex, part: test, channels: [adc], extent: 65 mm}"
COLLECTIONS = f"collections={{prostatex: {{channels: [adc]}}, prostatex-test: {ADC}}}"
UNSCORED = (
    "--config", "datasets=[prostatex]", COLLECTIONS, "challenge=prostatex-test", "phantom={patients: 16, test: 6}",
)  # fmt: skip
CHALLENGE = (*DEMO, *UNSCORED, "truth=data/raw/prostatex/truth.csv")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return bare_project(tmp_path_factory.mktemp("project"))


class TestPlan:
    def test_a_baseline_needs_neither_bootstrap_nor_training(self, project):
        rules = plan(
            project, *DEMO, "--config", "datasets=[prostatex]", "seeds=[0, 1]", "results/logistic_auc.json"
        )
        assert rules["fit_baseline"] == 2
        assert rules["score_method"] == rules["build_patches"] == 1
        assert not {"bootstrap_network", "train_model", "predict_findings"} & set(rules)

    def test_a_baseline_reads_the_target_alone(self, project):
        assert plan(project, *DEMO, "results/logistic_auc.json")["build_patches"] == 1

    def test_the_challenge_is_predicted_by_each_run_and_written_once(self, project):
        rules = plan(project, *CHALLENGE, "seeds=[0, 1]", "results/typhon_challenge.json")
        assert rules["predict_challenge"] == 2
        assert rules["write_challenge"] == rules["score_challenge"] == rules["write_phantom"] == 1
        assert rules["build_patches"] == 2
        assert "predict_findings" not in rules

    def test_the_target_all_asks_for_it_where_the_config_does(self, project):
        rules = plan(project, *CHALLENGE, "methods=[logistic]")
        assert rules["predict_challenge_simply"] == rules["score_challenge"] == 1
        assert "predict_challenge_simply" not in plan(project, *DEMO, "--config", "methods=[logistic]")

    def test_adc_maps_may_come_from_a_collection_beside_the_data_sets(self, project):
        maps = "collections={maps: {kind: prostatex, channels: [adc]}}"
        words = (maps, "hyperparameters={adc: {collection: maps}}", "results/adc_auc.json")
        rules = plan(project, *DEMO, "--config", *words)
        assert rules["extract_slices"] == 2  # of the target and the maps, from the same raw folder
        assert rules["build_patches"] == rules["write_phantom"] == 1

    def test_everything_may_train_for_the_challenge(self, project):
        words = (
            "split={kind: all}",
            "bootstrap={data: paper}",
            "methods=[logistic]",
            "results/logistic_challenge.csv",
        )
        rules = plan(project, *CHALLENGE, *words)
        assert rules["split_findings"] == 1
        assert "score_method" not in rules


class TestMessages:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (
                ("results/adc_auc.json",),
                "E-CONFIG hyperparameters/adc/collection: expected a collection of the target's findings with the "
                "channel adc, found prostatex with dwi; add adc",
            ),
            (("--config", "target=brain", "results/adc_auc.json"), "found brain with no such channels; add adc"),
            (
                ("--config", "hyperparameters={adc: {collection: nowhere}}", "results/adc_auc.json"),
                "expected an entry in collections, found nowhere",
            ),
            (
                ("--config", "collections={prostatex: {channels: [adc], intensity: paper}}", "results/adc_auc.json"),
                "E-CONFIG collections/prostatex/intensity: expected series, which keeps the unit of the ADC",
            ),
            (
                ("results/typhon_challenge.csv",),
                "E-CONFIG challenge: expected the name of a collection with part: test, found nothing",
            ),
            ((*UNSCORED, "results/typhon_challenge.json"), "E-CONFIG truth: expected a CSV"),
            (
                (*UNSCORED, "split={kind: all}", "bootstrap={data: paper}", "results/typhon_auc.json"),
                "E-CONFIG split/kind: expected a kind that leaves findings to test, found all; or ask for results/",
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_made_is_one_line_before_any_job(self, project, words, said):
        printed = snakemake(project, *DEMO, *words, "-n", status=1)
        assert said in printed
        assert "Traceback" not in printed
        assert "Job" not in printed

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"challenge": "prostatex"}, "E-CONFIG challenge: expected a collection with part: test"),
            ({"challenge": "nowhere"}, "E-CONFIG challenge: expected a collection with part: test"),
            ({"challenge": "other"}, "collections/other/channels: expected .'dwi'., as the target prostatex has it"),
            ({"truth": "t.csv"}, "E-CONFIG challenge: expected the collection that truth is about, found nothing"),
            ({"split": {"kind": "all"}}, "E-CONFIG challenge: expected a collection to predict, since with split"),
            (
                {"split": {"kind": "all"}, "challenge": "same"},
                "E-CONFIG bootstrap/data: expected paper, since with split.kind all no finding is left to validate",
            ),
            ({"split": {"kind": "paper", "n": 2}}, "split/n: expected 1 for a paper, found 2"),
            ({"split": {"kind": "paper", "validation": 0.5, "test": 0.5}}, "expected something left for training"),
        ],
    )  # fmt: skip
    def test_keys_that_contradict_each_other_are_named(self, change, message):
        config = changed("collections/same", {"kind": "prostatex", "part": "test", "max_skipped": 9})
        config["collections"]["other"] = {"kind": "prostatex", "part": "test", "channels": ["adc"]}
        with pytest.raises(Exception, match=message):
            checked(config | change)


def test_what_is_beside_the_target_lies_in_its_raw_folder_unless_named():
    config = changed("collections/same", {"kind": "prostatex", "part": "test"}) | {"challenge": "same"}
    config = checked(config)
    assert side_collections.collections(config) == ["same"]
    assert side_collections.home(config, "same") == "prostatex"
    assert side_collections.home(config, "brain") == "brain"
    assert side_collections.home(config | {"raw": {"same": "x"}}, "same") == "same"


def test_a_download_that_is_missing_is_named_once_for_both_parts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = changed("collections/same", {"kind": "prostatex", "part": "test"})
    config = checked(config | {"challenge": "same", "datasets": ["prostatex"]})
    assert [line.split()[1] for line in raw.missing(config).splitlines()[:-1]] == ["data/raw/prostatex:"]
    for name in ("index.parquet", "raw.txt"):
        (tmp_path / "data/prostatex").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/prostatex" / name).write_text("x")
    assert "E-RAW data/raw/prostatex" in raw.missing(config)  # the test patients were never indexed
    config["raw"]["same"] = "elsewhere"
    assert "E-RAW elsewhere" in raw.missing(config)


def test_the_challenge_is_predicted_on_phantoms(project):
    tiny = (
        "comparison={target_samples: 40, batch_size: 8}", "bootstrap={candidates: 2}", "views=8", "majority_views=2",
    )  # fmt: skip
    methods = ("classical", "logistic", "adc")
    targets = [f"results/{method}_challenge.json" for method in methods]
    snakemake(project, *CHALLENGE, *tiny, "--quiet", "--", *targets, timeout=900)
    demo = project / "demo"
    official = read_official(demo / "data/raw/prostatex/ProstateX-Findings-Test.csv")
    repeated = official["finding_id"].str.endswith(("a", "b"))
    assert repeated.sum() == 2
    for method in methods:
        table = read_submission(demo / f"results/{method}_challenge.csv")
        assert table["proxid"].tolist() == official["proxid"].tolist()
        assert table.loc[repeated.to_numpy(), "proxid"].nunique() == 1
        views = read_csv(demo / f"results/{method}/fold0/seed0/challenge.csv")
        assert set(views.groupby(["patient_id", "finding_id"]).size()) == {1 if method == "adc" else 5}
        figures = json.loads((demo / f"results/{method}_challenge.json").read_text())
        assert figures["findings"] == len(official)
    # The phantoms’ tumours are mostly darker in the ADC map than their benign lesions.
    assert figures["auroc"] > 0.6
