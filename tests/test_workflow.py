"""The plan: what runs, what reruns, and what is said before anything does.

``built`` is a copy of the project in which a stub stands for every step, so that all jobs of the demo are done
in seconds and the next plan can be looked at.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from model.evaluation import compare
from papers import numbers
from pipeline.provenance import ROOT
from tests import warm
from tests.copies import copy_code
from tests.test_kinds import WELLS

STUB = """
import os
import sys
from pathlib import Path

def main():
    log, module, *words = sys.argv[1:]
    Path(log).write_text(" ".join(words))
    if Path("fail").exists() and module in Path("fail").read_text():
        if "kill" in Path("fail").read_text():
            os.kill(os.getpid(), 9)
        Path(log).write_text("E-TEST x: expected a, found b; mend it\\nfailed with 1 after 0.1 s\\n")
        sys.exit("E-TEST x: expected a, found b; mend it")
    OUT = ("--out", "--skipped", "--files", "--choices", "--near-duplicates", "--best", "--history", "--gradients", "--run",
           "--scores", "--seen", "--picture", "--card", "--models")
    if module == "pipeline.verify":
        OUT += ("--table",)
    if module == "workflow.cite":
        OUT += ("--markdown", "--bibtex")
    flag = ""
    for word in words:
        if word.startswith("--"):
            flag = word
        elif (flag in OUT or flag.startswith("--out-")) and not Path(word).exists():  # such inputs are there already
            path = Path(word, "1.dcm") if module in ("pipeline.phantom", "model.report.tensorboard") else Path(word)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{module} {words}")
            if module in ("model.evaluation.compare", "papers.tables", "model.search.choose", "workflow.costs",
                          "model.evaluation.assess", "model.report.reporting") and path.suffix == ".csv":
                for suffix in (".md", ".tex", ".html"):
                    path.with_suffix(suffix).write_text("")
        elif flag == "--runs" and module == "model.evaluation.assess":
            Path(word, "operating.json").write_text("")

if __name__ == "__main__":
    main()
"""


def snakemake(project, *words, status=0, timeout=600):
    """Call ``./run`` in a project's folder, and return all that it printed.

    A folder without code of its own is run by this checkout's.
    """
    code = project if (project / "workflow").exists() else ROOT
    returncode, printed = warm.run(project, words, code, timeout)
    assert returncode == status, printed
    return printed


def plan(project, *words):
    """How many jobs of each rule would run."""
    printed = snakemake(project, *words, "-n", "--quiet", "reason")
    counts = dict(re.findall(r"^(\w+) +(\d+)$", printed, flags=re.MULTILINE))
    assert counts or "Nothing to be done" in printed, printed
    return {rule: int(count) for rule, count in counts.items() if rule != "total"}


def bare_project(folder):
    """A folder to work in, with the settings of the project and without its code."""
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    demo = folder / "config/demo.yaml"  # with one method, there is less to plan
    demo.write_text(demo.read_text().replace("methods: [typhon, probe]\n", ""))
    return folder


def copy_project(folder):
    copy_code(bare_project(folder), "rules", "workflow", "pipeline", "model", "papers")
    for name in ("Snakefile", "environment.yml", "requirements.lock", "CITATION.cff"):
        shutil.copy(ROOT / name, folder / name)
    return folder


DEMO = ("--directory", "demo", "--configfile", "config/demo.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("built"))
    (project / "workflow" / "execute.py").write_text(STUB)
    snakemake(project, *DEMO)
    return project


@pytest.fixture
def project(tmp_path):
    return bare_project(tmp_path)


@contextmanager
def edited(path, old, new):
    """A file in which ``old`` is replaced for a while; ``old`` may be empty to append."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new)
    try:
        yield
    finally:
        path.write_text(text)


class TestPlan:
    def test_the_demo_is_small(self, project):
        rules = plan(project, *DEMO, "--config", "methods=[typhon, probe]")
        assert sum(rules.values()) < 75
        assert rules["fit_probe"] == rules["embed_patches"] == rules["draw_embeddings"] == 1

    def test_the_result_alone_needs_no_pictures(self, project):
        rules = plan(project, *DEMO, "results/typhon_auc.json")
        assert not [rule for rule in rules if rule.startswith("draw_")]
        assert rules["score_method"] == 1

    def test_data_are_verified_before_anything_is_trained(self, project):
        rules = plan(project, *DEMO, "verify")
        assert (rules["verify_dataset"], rules["list_checks"]) == (3, 1)
        assert not {"bootstrap_network", "train_model"} & rules.keys()

    def test_ten_folds_of_five_seeds_are_a_run_each_over_shared_stores(self, project):
        rules = plan(project, *DEMO, "--config", "split={kind: folds, n: 10}", "seeds=[0, 1, 2, 3, 4]")
        assert rules["build_patches"] == 3
        assert rules["split_findings"] == 30
        assert rules["bootstrap_network"] == rules["train_model"] == rules["predict_findings"] == 50
        assert rules["score_method"] == 1

    def test_all_methods_of_a_comparison_start_from_one_network(self, project):
        some = ("--config", "methods=[classical, typhon, rwg]", "seeds=[0, 1]")
        rules = plan(project, *DEMO, *some)
        assert (rules["bootstrap_shared"], rules["bootstrap_network"], rules["train_model"]) == (2, 2, 6)
        assert (rules["draw_shared_bootstrap"], rules["draw_bootstrap"]) == (2, 2)  # rwg is its own search
        printed = snakemake(project, *DEMO, *some, "-np")
        starts = set(re.findall(r"model\.training\.train .*?--network (\S+).*?--out results/(\w+)/", printed))
        assert starts == {
            *((f"results/bootstrap/fold0/seed{seed}/network.safetensors", method)
              for seed in (0, 1) for method in ("classical", "typhon")),
            *((f"results/rwg/fold0/seed{seed}/bootstrap/network.safetensors", "rwg") for seed in (0, 1)),
        }  # fmt: skip
        assert "--score prostatex lungx brain --network papers --weights random --seed 0" in printed
        own = plan(project, *DEMO, *some, "bootstrap={start: own}")
        assert own["bootstrap_network"] == 6
        assert "bootstrap_shared" not in own
        alone = plan(project, *DEMO)
        assert alone["bootstrap_network"] == 1
        assert "bootstrap_shared" not in alone

    def test_a_method_that_trains_nothing_has_no_learning_curves(self, project):
        rules = plan(project, *DEMO, "--config", "methods=[rwg]")
        assert rules["draw_bootstrap"] == rules["draw_roc"] == 1
        assert not {"draw_curves", "write_tensorboard"} & set(rules)

    def test_methods_are_compared_where_there_are_at_least_two(self, project):
        assert "compare_methods" not in plan(project, *DEMO)
        rules = plan(project, *DEMO, "--config", "methods=[typhon, logistic]")
        assert rules["score_method"] == 2
        assert rules["compare_methods"] == 1
        assert "compare_methods" not in plan(
            project, *DEMO, "--config", "methods=[typhon, logistic]", "results/typhon_auc.json"
        )

    def test_the_comparison_is_told_what_the_config_says_and_no_more(self, project):
        told = (
            "--config",
            "methods=[typhon, logistic]",
            "comparison={reference: logistic, pairs: all, difference: 0.1}",
        )
        printed = snakemake(project, *DEMO, *told, "-n", "-p", "results/comparison.csv")
        command = re.search(r"model\.evaluation\.compare (--results .*)", printed).group(1)
        words = compare.arguments().parse_args(command.split())
        assert (words.reference, words.pairs, words.difference) == ("logistic", "all", 0.1)
        assert words.results == [Path("results/typhon_auc.json"), Path("results/logistic_auc.json")]
        assert [path.as_posix() for path in words.splits] == ["data/prostatex/splits/fold0.csv"]

    def test_any_order_of_words_gives_the_same_plan(self, project):
        usual = plan(project, "results/typhon_auc.json", *DEMO, "--cores", "8", "--resources", "gpu=1")
        assert usual == plan(
            project, "--cores", "8", *DEMO, "--resources", "gpu=1", "results/typhon_auc.json"
        )

    def test_slurm_gets_a_plan(self, project):
        assert plan(project, "--workflow-profile", "slurm", *DEMO)["train_model"] == 1

    def test_bare_snakemake_does_the_same(self, tmp_path):
        project = copy_project(tmp_path)
        words = ["results/typhon_auc.json", "--cores", "8", "--resources", "gpu=1", "-n", *DEMO]
        process = subprocess.run([sys.executable, "-m", "snakemake", *words], cwd=project, capture_output=True,
                                 text=True, timeout=60, check=True)  # fmt: skip
        assert "train_model" in process.stdout + process.stderr

    def test_stacked_channels_get_a_picture_of_their_alignment(self, project):
        three = "collections={prostatex: {channels: [t2, dwi, adc]}}"
        assert plan(project, *DEMO, "--config", "datasets=[prostatex]", three)["draw_alignment"] == 1

    def test_data_sets_of_other_channels_may_be_looked_at_but_not_trained_together(self, project):
        three = (*DEMO, "--config", "collections={prostatex: {channels: [t2, dwi, adc]}}")
        assert plan(project, *three, "data/prostatex/alignment.png")["draw_alignment"] == 1
        printed = snakemake(project, *three, "-n", status=1)
        assert (
            "E-CONFIG datasets: expected as many channels in each data set, found 3 of prostatex, 1"
            in printed
        )


class TestMessages:
    def test_all_missing_collections_are_named_at_once_before_any_job(self, project):
        lines = snakemake(project, "--cores", "2", "results/typhon_auc.json", status=1).splitlines()
        found = [line for line in lines if line.startswith("E-RAW")]
        assert [line.split()[1].rstrip(":") for line in found] == [
            "data/raw/prostatex", "data/raw/lungx", "data/raw/brain",
        ]  # fmt: skip
        assert "Traceback" not in "".join(lines)
        assert not (project / "data").exists()

    def test_faults_of_all_tables_are_named_at_once_before_any_job_the_target_first(self, project):
        for name, line in (("first", "b.png,p,1,1"), ("second", "a.png,p,1,B")):
            raw = project / "data/raw" / name
            raw.mkdir(parents=True)
            (raw / "a.png").write_bytes(b"")
            (raw / "t.csv").write_text(f"image,patient_id,finding_id,label\na.png,p,0,0\n{line}\n")
        kind = "{kind: table, table: t.csv}"
        (project / "own.yaml").write_text(
            f"datasets: [first, second]\ntarget: second\ncollections:\n  first: {kind}\n  second: {kind}\n"
        )
        call = ("--configfile", "own.yaml", "results/typhon_auc.json")
        for words in (("-n", *call), call):
            lines = [
                line for line in snakemake(project, *words, status=1).splitlines() if line.startswith("E-")
            ]
            assert [line.split(":")[0] for line in lines] == [
                "E-LABEL data/raw/second/t.csv", "E-IMG-MISSING data/raw/first/t.csv"
            ]  # fmt: skip
        assert not (project / "data/first/index.parquet").exists()
        (project / "data/raw/second/t.csv").write_text(
            "image,patient_id,finding_id,label\na.png,p,0,0\na.png,q,1,1\n"
        )
        (project / "data/raw/first/b.png").write_bytes(b"")
        assert plan(project, *call)["index_raw_files"] == 2

    def test_a_typo_in_the_config_is_one_line_with_the_nearest_key(self, project):
        printed = snakemake(project, *DEMO, "-n", "--config", "sedes=[0]", status=1)
        assert "\nE-CONFIG sedes: found an unknown key; did you mean seeds?\n" in printed
        assert "Traceback" not in printed

    def test_a_config_file_with_code_in_it_is_refused_before_it_is_read(self, project):
        (project / "bad.yaml").write_text("__use_yte__: true\n?print('ran'): 1\n")
        printed = snakemake(project, "--configfile", "bad.yaml", "-n", status=1)
        assert printed.startswith("E-CONFIG bad.yaml: expected plain YAML")

    def test_folders_that_yaml_takes_for_numbers_are_refused_before_anything_is_planned(self, project):
        (project / "own.yaml").write_text("collections:\n  mine: {kind: table, folders: {00: 0, 010: 1}}\n")
        printed = snakemake(project, "--configfile", "own.yaml", "-n", status=1)
        assert printed.rstrip() == (
            "E-CONFIG own.yaml: expected plain YAML, found the key 00, to YAML no text but int, line 2; put it in quotes"
        )

    def test_bare_snakemake_refuses_a_key_that_stands_twice_as_well(self, tmp_path):
        project = copy_project(tmp_path)
        (project / "twice.yaml").write_text("seeds: [0]\nseeds: [1]\n")
        words = ["-n", "--cores", "1", "--configfile", "config/demo.yaml", "twice.yaml"]
        process = subprocess.run([sys.executable, "-m", "snakemake", *words], cwd=project, capture_output=True,
                                 text=True, timeout=60, check=False)  # fmt: skip
        assert process.returncode == 1
        assert "twice.yaml: expected plain YAML, found the key seeds twice, line 2" in process.stderr

    def test_the_error_of_a_job_is_seen_when_it_happens_and_again_at_the_end(self, built):
        (built / "demo/fail").write_text("pipeline.splits.split")
        try:
            printed = snakemake(
                built, *DEMO, "--until", "split_findings", "--forcerun", "split_findings", status=1
            )
        finally:
            (built / "demo/fail").unlink()
        assert "CalledProcessError" not in printed
        assert "Error in rule" not in printed
        before, after = printed.rsplit("\n\nE-TEST x: expected a, found b; mend it", 1)  # once for three jobs
        assert before.count("E-TEST x: expected a, found b") == before.count("Failed: Splitting ") == 3
        where, end = after.strip("\n").split("\n\n")
        assert "    Splitting brain, fold 0: logs/data/brain/splits/fold0.log" in where.splitlines()
        assert "Of 3 steps 3 failed, 0 are done and kept, 0 did not start." in end
        (log,) = re.findall(r"^All that Snakemake says is in (\S+)$", end, re.M)
        assert Path(log).read_text().count("Error in rule split_findings") == 3
        snakemake(built, *DEMO, "--forcerun", "split_findings")

    def test_a_job_that_the_system_killed_is_told_as_want_of_memory(self, built):
        (built / "demo/fail").write_text("pipeline.splits.split kill")
        try:
            words = ("--until", "split_findings", "--forcerun", "split_findings")
            printed = snakemake(built, *DEMO, *words, status=1)
        finally:
            (built / "demo/fail").unlink()
        told = re.findall(
            r"^E-OOM (\S+): expected the end of a job, found that the system kill", printed, re.M
        )
        assert sorted(told) == [
            f"logs/data/{name}/splits/fold0.log" for name in ("brain", "lungx", "prostatex")
        ]
        snakemake(built, *DEMO, "--forcerun", "split_findings")

    def test_a_failed_check_fails_and_leaves_the_table_of_all(self, project):
        for name, result in (("prostatex", "ok"), ("lungx", "failed"), ("brain", "ok")):
            table = project / f"demo/data/{name}/verify.csv"
            table.parent.mkdir(parents=True)
            table.write_text(f"check,result,count,detail\nsplits,{result},1,a patient\n")
        words = (*DEMO, "verify", "--allowed-rules", "list_checks", "verify")
        assert "E-VERIFY data/lungx/verify.csv: " in snakemake(project, *words, status=1)
        assert (project / "demo/results/checks.csv").read_text().count("a patient") == 3

    def test_downloads_are_not_overwritten_by_phantoms(self, project):
        (project / "demo/data/raw/lungx").mkdir(parents=True)
        (project / "demo/data/raw/lungx/1.dcm").write_text("precious")
        printed = snakemake(project, *DEMO, "--forceall", status=1)
        assert "E-RAW data/raw/lungx: expected an empty folder for synthetic data, found files" in printed
        assert (project / "demo/data/raw/lungx/1.dcm").read_text() == "precious"


TRAINING = {
    "train_model", "assess_methods", "draw_saliency", "draw_curves", "draw_paper_figure", "write_tensorboard", "predict_findings", "score_method",
    "draw_roc", "write_front", "write_paper_table", "write_reporting", "tabulate_results", "list_software", "tabulate_costs", "all",
}  # fmt: skip


WORDS = (
    *(
        (name, "", "\n\n# a comment\n")
        for name in ("pipeline/readers/index.py", "pipeline/errors.py", "model/evaluation/score.py")
    ),
    ("pipeline/errors.py", "lower the learning rate", "try a lower learning rate"),
    (
        "pipeline/errors.py",
        "class NetError",
        'class MyError(InputError):\n    code = "E-MY"\n\n\nclass NetError',
    ),
    ("pipeline/splits/split.py", '"""', '"""In short: '),
    ("model/training/train.py", "epochs between validations", "how often to validate"),
    ("model/training/trainer.py", "leaving, to go on later", "until later"),
    ("model/training/methods.py", "", '\nMETHODS["other"] = typhon\n'),
    ("rules/train.smk", 'message:\n        "', 'message:\n        "Now: '),
    ("rules/data.smk", '    """Read the header', '    """Look at the header'),
)
"""Edits of what only a person reads, of every sort."""
BYTES = (
    ("pipeline/patches/views.py", "range(-20, 21)", "range(-19, 20)",
     {"extract_slices": 0, "build_patches": 3, "split_findings": 3, "train_model": 1}),
    ("pipeline/splits/split.py", '"folds" else', '"repeats" else', {"build_patches": 0, "split_findings": 3, "train_model": 1}),
    ("model/training/schedule.py", "PAPER_EPSILON = 1e-8", "PAPER_EPSILON = 1e-9",
     {"split_findings": 0, "bootstrap_network": 0, "train_model": 1, "score_method": 1}),
    ("model/evaluation/score.py", "len(known) < len(runs)", "len(known) > len(runs)", {"train_model": 0, "score_method": 1}),
    ("pipeline/errors.py", '"E-LOSS"', '"E-NAN"', {"split_findings": 0, "train_model": 1}),
    ("rules/data.smk", "--processes {threads}", "--processes 1", {"index_raw_files": 3}),
)  # fmt: skip
"""Edits of constants, operators, codes and commands, and how many jobs of some rules they rerun."""


class TestRerun:
    def test_a_second_run_has_nothing_to_do(self, built):
        assert "Nothing to be done" in snakemake(built, *DEMO)

    def test_texts_and_registries_rerun_nothing(self, built):
        with ExitStack() as edits:
            for name, old, new in WORDS:
                edits.enter_context(edited(built / name, old, new))
            assert plan(built, *DEMO) == {}

    def test_a_new_kind_of_data_set_reruns_nothing(self, built):
        module = built / "pipeline/datasets/wells.py"
        module.write_text(WELLS)
        columns = (built / "config/datasets.csv").read_text().split("\n", 1)[0].count(",")
        row = edited(built / "config/datasets.csv", "", "wells" + "," * columns + "\n")
        mine = "collections={mine: {kind: wells}}", "datasets=[prostatex, lungx, brain, mine]"
        try:
            with row:
                assert plan(built, *DEMO) == {}
                assert plan(built, *DEMO, "--config", *mine)["locate_findings"] == 1
        finally:
            module.unlink()

    @pytest.mark.parametrize(("name", "old", "new", "rules"), BYTES)
    def test_what_decides_bytes_reruns_what_it_decides(self, built, name, old, new, rules):
        with edited(built / name, old, new):
            found = plan(built, *DEMO)
        assert {rule: found.get(rule, 0) for rule in rules} == rules

    def test_code_of_one_step_reruns_that_step_and_what_follows(self, built):
        with edited(built / "model/inference/score_views.py", "", "\nx = 1\n"):
            assert set(plan(built, *DEMO)) == TRAINING - {
                "train_model", "draw_curves", "draw_paper_figure", "write_tensorboard",
            }  # fmt: skip
        with edited(built / "pipeline/report/contact_sheet.py", "", "\nx = 1\n"):
            assert plan(built, *DEMO) == {
                "draw_contact_sheet": 3, "draw_red_dots": 3, "verify_dataset": 3, "write_front": 1, "tabulate_costs": 1, "all": 1,
            }  # fmt: skip

    def test_code_of_one_data_set_reruns_that_data_set(self, built):
        with edited(built / "pipeline/datasets/lungx.py", "", "\nx = 1\n"):
            rules = plan(built, *DEMO)
        assert rules["locate_findings"] == rules["build_patches"] == rules["split_findings"] == 1
        assert "index_raw_files" not in rules

    def test_another_amount_of_training_reruns_training_alone(self, built):
        with edited(built / "config/demo.yaml", "{target_samples: 400}", "{target_samples: 300}"):
            assert set(plan(built, *DEMO)) == TRAINING

    def test_a_rerun_that_fails_in_the_middle_leaves_no_stale_result(self, built):
        less = edited(built / "config/demo.yaml", "{target_samples: 400}", "{target_samples: 300}")
        (built / "demo/fail").write_text("model.training.train")
        try:
            with less:
                snakemake(built, *DEMO, status=1)
        finally:
            (built / "demo/fail").unlink()
        assert not (built / "demo/results/typhon_auc.json").exists()
        assert (built / "demo/data/brain/patches.h5").exists()
        assert (built / "demo/.snakemake/replaced/results/typhon_auc.json").exists()
        assert set(plan(built, *DEMO)) == TRAINING  # at the former amount, too: its results are gone
        snakemake(built, *DEMO)
        assert plan(built, *DEMO) == {}
        assert not (built / "demo/.snakemake/replaced").exists()

    def test_touching_removes_nothing(self, built):
        snakemake(built, *DEMO, "--touch", "--forceall")
        assert (built / "demo/results/typhon_auc.json").exists()
        assert plan(built, *DEMO) == {}

    def test_a_new_method_reruns_nothing(self, built):
        with edited(built / "model/training/methods.py", "", '\nMETHODS["other"] = typhon\n'):
            assert plan(built, *DEMO) == {}

    def test_a_backup_that_is_restored_without_its_times_reruns_nothing(self, built):
        files = [path for name in ("data", "results") for path in (built / "demo" / name).rglob("*.*")
                 if path.is_file() and "raw" not in path.parts]  # fmt: skip
        times = {path: path.stat().st_mtime_ns for path in files}
        year = 365 * 86_400 * 10**9
        try:
            for now in (time.time_ns(), time.time_ns() + year):  # a clock that was wrong
                for number, path in enumerate(files):
                    os.utime(path, ns=(now, now + number % 7 * 10**12))
                # A folder, that of TensorBoard, has no checksum.
                assert set(plan(built, *DEMO)) <= {"tabulate_costs", "all"}
        finally:
            for path, at in times.items():
                os.utime(path, ns=(at, at))

    def test_where_the_records_are_lost_nothing_is_made_anew_and_that_is_said(self, built):
        warning = "has results and no records of them"
        assert warning not in snakemake(built, *DEMO, "-n")
        records = built / "demo/.snakemake"
        records.rename(built / "demo/records")
        try:
            assert plan(built, *DEMO) == {}
            assert warning in snakemake(built, *DEMO, "-n")
            with edited(built / "config/demo.yaml", "{target_samples: 400}", "{target_samples: 300}"):
                assert warning in snakemake(built, *DEMO)
        finally:
            shutil.rmtree(records, ignore_errors=True)
            (built / "demo/records").rename(records)

    def test_a_working_folder_of_nearly_four_thousand_characters_is_no_obstacle(self, built, tmp_path):
        deep = tmp_path.joinpath(*["x" * 200] * 18)
        deep.mkdir(parents=True)
        snakemake(
            built, "--directory", str(deep), "--configfile", "config/demo.yaml", "data/brain/splits/fold0.csv"
        )
        assert (deep / "data/brain/splits/fold0.csv").exists()
        assert plan(built, "--directory", str(deep), *DEMO[2:], "data/brain/splits/fold0.csv") == {}

    def test_a_new_seed_adds_one_run(self, built):
        rules = plan(built, *DEMO, "--config", "seeds=[0, 1]")
        assert rules["bootstrap_network"] == rules["train_model"] == 1
        assert "build_patches" not in rules

    def test_a_changed_gpu_limit_reruns_nothing(self, built):
        assert plan(built, *DEMO, "--resources", "gpu=1") == {}

    def test_another_experiment_shares_the_stores(self, built):
        data = built / "demo/data"
        rules = plan(
            built, "--directory", "other", "--configfile", "config/demo.yaml", "--config", f"data={data}"
        )
        assert {"index_raw_files", "locate_findings", "extract_slices", "build_patches"}.isdisjoint(rules)
        assert rules["train_model"] == 1

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("split={kind: folds, n: 3}", "E-CONFIG split.kind: expected holdout, with which"),
            (
                "collections={prostatex: {extent: 40 mm}}",
                "E-CONFIG collections.prostatex.extent: expected 65 mm",
            ),
            ("views=12", "E-CONFIG views: expected 24"),
        ],
    )
    def test_stores_made_with_other_settings_are_not_shared(self, built, change, said):
        data = f"data={built / 'demo/data'}"
        words = ("--directory", "other", "--configfile", "config/demo.yaml", "--config", data, change)
        assert said in snakemake(built, *words, "-n", status=1)

    def test_downloads_are_watched_while_they_are_there_and_not_asked_for_afterwards(self, built):
        own = ("--directory", "own", "data/brain/patches.h5", "--config", "datasets=[brain]", "target=brain")
        image = built / "own/data/raw/brain/deep/folder/1.jpg"
        image.parent.mkdir(parents=True)
        image.write_text("1")
        (built / "own/data/raw/brain/centres.csv").write_text("kaggle_file,source,cx,cy\n")
        snakemake(built, *own)
        assert plan(built, *own) == {}
        image.with_name("2.jpg").write_text("2")
        assert plan(built, *own) == {
            "index_raw_files": 1, "locate_findings": 1, "extract_slices": 1, "build_patches": 1,
        }  # fmt: skip
        shutil.rmtree(built / "own/data/raw")
        assert plan(built, *own) == {}

    def test_the_report_of_the_last_run_holds_every_figure(self, built):
        snakemake(built, *DEMO)
        snakemake(built, "results/typhon_auc.json", status=1)  # no downloads: nothing to report on
        printed = snakemake(built, "report", "report.zip")
        figures = re.findall(r"Adding (\w+)\.png", printed)
        # of data sets, of training, of results and papers, costs; saliency and what scores are worth
        assert len(figures) == 3 * 3 + 3 + 2 + 1 + 7
        pages = re.findall(r"Adding (\w+)\.html", printed)
        of_scores = ["overview", "calibration", "ranking", "operating", "conformal", "reporting"]
        assert sorted(pages) == sorted(
            [*3 * ["verify"], *of_scores, "software", "cite", "costs", *numbers.TABLES]
        )
        assert (built / "demo/report.zip").stat().st_size > 100_000

    def test_a_report_of_an_unfinished_run_says_so(self, built):
        page = built / "demo/results/overview.html"
        page.rename(page.with_suffix(".away"))
        try:
            printed = snakemake(built, "report", status=1)
        finally:
            page.with_suffix(".away").rename(page)
        assert "File results/overview.html marked for report but does not exist" in printed
        assert "expected a finished run, found what is said above; let it come to its end" in printed

    def test_a_report_too_large_for_a_page_is_a_zip(self, built):
        words = "from workflow import run; run.LARGEST_PAGE = 1000; run.main(['report'])"
        line = [sys.executable, "-c", words]
        environment = {**os.environ, "PYTHONPATH": str(built)}
        (built / "demo/report.html").write_text("of a former run")
        done = subprocess.run(
            line, cwd=built, env=environment, capture_output=True, text=True, timeout=120, check=True
        )
        assert not (built / "demo/report.html").exists()
        said = done.stdout.splitlines()[-1]
        assert said.startswith(f"Report: {built}/demo/report.zip: as one page it has ")
        assert said.endswith("Unpack it and open report/report.html")
        with zipfile.ZipFile(built / "demo/report.zip") as archive:
            assert "report/report.html" in archive.namelist()


TARGETS = {
    "cite", "curve", "download", "effects", "figures", "leave_one_out", "search", "tables", "targeted", "verify",
}  # fmt: skip
"""Rules that only gather files."""


class TestRules:
    def rules(self):
        for path in sorted((ROOT / "rules").glob("*.smk")):
            for block in re.split(r"^(?=rule |use rule )", path.read_text(), flags=re.MULTILINE)[1:]:
                yield re.search(r"rule (\w+)(?: as (\w+))?", block), block

    def test_names_are_verb_noun(self):
        verbs = {"write", "assess", "embed", "index", "locate", "extract", "build", "list", "split", "bootstrap", "train", "predict",
                 "fit", "score", "compare", "draw", "fingerprint", "replay", "measure", "tabulate", "verify",
                 "download"}  # fmt: skip
        for match, _ in self.rules():
            name = match.group(2) or match.group(1)
            assert name in TARGETS or name.split("_")[0] in verbs, name

    def test_every_rule_says_what_it_does_and_writes_a_log_and_a_benchmark(self):
        for match, block in self.rules():
            if match.group(1) in TARGETS or match.group(2):
                continue
            for part in (
                '"""',
                "log:",
                "benchmark:",
                "conda:",
                "mem_mb=",
                "runtime=",
                "message:",
                "shell:",
                "code=",
            ):
                assert part in block, f"{match.group(1)} has no {part}"
            assert "python -m workflow.job {log} " in block

    def test_logs_and_benchmarks_mirror_each_other(self):
        for match, block in self.rules():
            if match.group(1) in TARGETS:
                continue
            logs = re.findall(r'log:\n *"logs/(.*)\.log"', block)
            assert logs == re.findall(r'benchmark:\n *"benchmarks/(.*)\.tsv"', block)

    def test_no_two_rules_share_a_log(self):
        """By its log, what a job took is added to the figures of its rule."""
        logs = [
            re.sub(r"\{\w+\}", "{}", log)
            for _, block in self.rules()
            for log in re.findall(r'log:\n *"(logs/.*)"', block)
        ]
        assert len(logs) > 60
        assert sorted(logs) == sorted(set(logs))

    def test_a_run_is_scored_before_the_next_is_trained(self):
        priority = {
            match.group(1): int(found[1])
            for match, block in self.rules()
            if (found := re.search(r"^    priority: (\d+)", block, flags=re.MULTILINE))
        }
        waits_for = (
            "predict_findings",
            "write_card",
        )  # the second is what the first needs besides the training
        assert min(priority.pop(name) for name in waits_for) > max(priority.values())

    def test_nothing_runs_inside_the_driver(self):
        for match, block in self.rules():
            assert not re.search(r"^    (run|script|notebook):", block, flags=re.MULTILINE), match.group(1)

    def test_only_identity_is_in_a_path(self):
        for _, block in self.rules():
            wildcards = set(
                re.findall(r"\{(\w+)\}", " ".join(re.findall(r'"((?:<data>|results)/[^"]*)"', block)))
            )
            identity = {
                "dataset",
                "encoder",
                "features",
                "method",
                "fold",
                "seed",
                "step",
                "picture",
                "figure",
                "table",
                "effect",
            }
            assert wildcards <= identity

    def test_the_snakefile_is_a_table_of_contents(self):
        assert len((ROOT / "Snakefile").read_text().splitlines()) <= 80

    def test_every_step_that_rules_call_exists(self):
        for path in (ROOT / "rules").glob("*.smk"):
            for module in re.findall(r"workflow\.job \{log\} ([\w.]+)", path.read_text()):
                path = Path(ROOT, *module.split("."))
                assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_profiles_go_on_after_failures_and_interruptions():
    for name in ("default", "slurm"):
        profile = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
        assert profile["rerun-incomplete"] is True
        assert profile["keep-going"] is True
