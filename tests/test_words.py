import os
import subprocess
import sys

import pytest
from snakemake.cli import get_argument_parser

from pipeline.errors import ConfigError
from pipeline.provenance import ROOT
from workflow import arguments
from workflow import run as launcher
from workflow.run import check_profiles, prepare

# Options whose values no look tells from a target: they keep the words that follow, as in Snakemake.
KEEP = {
    "targets", "forcerun", "consider_ancient", "prioritize", "until", "omit_from", "cleanup_metadata",
    "wait_for_files", "omit_flags", "unneeded_temp_files", "generate_unit_tests", "containerize", "conda_cleanup_pkgs",
}  # fmt: skip


def line(text):
    return arguments.parse(text.split(), get_argument_parser()).line()


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (
            "--cores 8 --resources gpu=1 results/typhon_auc.json",
            "--cores 8 --resources gpu=1 -- results/typhon_auc.json",
        ),
        (
            "results/typhon_auc.json --cores 8 --resources gpu=1",
            "--cores 8 --resources gpu=1 -- results/typhon_auc.json",
        ),
        ("--resources gpu=1 mem_mb=8000 all -n", "--resources gpu=1 mem_mb=8000 -n -- all"),
        ("--resources=gpu=1 all", "--resources gpu=1 -- all"),
        ("all --cores 8 figures", "--cores 8 -- all figures"),
        ("-j8 all", "-j 8 -- all"),
        ("-c2 all", "-c 2 -- all"),
        ("-np all", "-n -p -- all"),
        ("--cor 2 all", "--cores 2 -- all"),
        ("--config seeds=[0,1] views=20 all", "--config seeds=[0,1] views=20 -- all"),
        ("-C seeds=[0] all", "-C seeds=[0] -- all"),
        ("--configfile config/demo.yaml all", "--configfile config/demo.yaml -- all"),
        ("--configfile a.yaml results/x.json", "--configfile a.yaml -- results/x.json"),
        ("--configfile a.yaml b.json all", "--configfile a.yaml b.json -- all"),
        (
            "--configfile a.yaml results/search/typhon/best.yaml results/typhon_auc.json",
            "--configfile a.yaml results/search/typhon/best.yaml -- results/typhon_auc.json",
        ),
        ("--default-resources mem_mb=100 all", "--default-resources mem_mb=100 -- all"),
        ("--default-resources all", "--default-resources -- all"),
        ("--sdm conda all", "--sdm conda -- all"),
        ("--rerun-triggers mtime params all", "--rerun-triggers mtime params -- all"),
        ("--set-threads train_model=2 all", "--set-threads train_model=2 -- all"),
        ("--set-resources train_model:mem_mb=9 all", "--set-resources train_model:mem_mb=9 -- all"),
        ("--quiet rules all.json", "--quiet rules -- all.json"),
        ("--report report.zip", "--report report.zip"),
        ("--report all", "--report -- all"),
        ("--lint", "--lint"),
        ("--until train_model split_findings", "--until train_model split_findings"),
        ("-n -- all", "-n -- all"),
        ("--no-such-option", "--no-such-option"),
        ("", ""),
    ],
)
def test_words_are_put_into_an_order_that_snakemake_understands(typed, understood):
    assert line(typed) == understood.split()


def test_every_greedy_option_of_snakemake_has_a_look_or_keeps_its_words():
    greedy = {action.dest for action in get_argument_parser()._actions if action.nargs in ("*", "+", "?")}
    assert greedy == (set(arguments.VALUES) | KEEP) & greedy
    assert set(arguments.VALUES) <= greedy


@pytest.mark.parametrize("typed", ["all --cores 8 --config a=1 b=2 figures", "-np --resources gpu=1 all"])
def test_snakemakes_own_parser_finds_the_targets_behind_the_new_order(typed):
    args = get_argument_parser().parse_args(line(typed))
    assert args.targets == [word for word in typed.split() if word in ("all", "figures")]


class TestPrepare:
    def test_takes_all_cores_unless_told(self):
        assert "--cores all" in " ".join(prepare(["x"], gpu=True).line())
        assert "all" not in prepare(["-j2", "x"], gpu=True).line()

    def test_without_a_gpu_runs_go_side_by_side_on_the_cpu(self):
        assert prepare(["x"], gpu=False).values("resources") == ["gpu=0"]
        assert prepare(["x"], gpu=True).values("resources") is None

    def test_a_named_limit_stays_and_others_are_kept(self):
        assert prepare(["--resources", "gpu=1", "x"], gpu=False).values("resources") == ["gpu=1"]
        assert prepare(["--resources", "mem_mb=9", "x"], gpu=False).values("resources") == [
            "mem_mb=9",
            "gpu=0",
        ]

    def test_other_machines_may_have_gpus(self):
        line = prepare(["--workflow-profile", "slurm", "x"], gpu=False)
        assert line.values("resources") is None
        assert line.values("cores") is None

    @pytest.mark.parametrize(
        "typed",
        [["--profile", "mine"], ["--profile=mine"], ["--executor", "slurm"], ["--workflow-prof", "slurm"]],
    )
    def test_so_may_those_of_any_profile_and_executor(self, typed):
        named = {name for name, _ in prepare([*typed, "x"], gpu=False).options}
        assert not named & {"cores", "resources"}

    def test_a_profile_in_the_environment_counts_as_one_on_the_line(self, monkeypatch):
        monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")
        line = prepare(["x"], gpu=False)
        assert line.values("resources") is None
        assert line.values("cores") is None
        assert prepare(["--profile", "none", "x"], gpu=False).values("cores") == ["all"]

    @pytest.mark.parametrize("value", ["none", ""])
    def test_no_profile_is_none(self, monkeypatch, value):
        monkeypatch.setenv("SNAKEMAKE_PROFILE", value)
        line = prepare(["--workflow-profile", "none", "x"], gpu=False)
        assert line.values("resources") == ["gpu=0"]
        assert line.values("cores") == ["all"]

    def test_an_empty_one_is_not_handed_on(self, monkeypatch, tmp_path):
        handed = []
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SNAKEMAKE_PROFILE", "")
        monkeypatch.setenv("PATH", os.environ["PATH"])
        monkeypatch.setattr(launcher, "snakemake", lambda _: handed.append("SNAKEMAKE_PROFILE" in os.environ))
        assert launcher.run(["--version"]) == 0
        assert handed == [False]

    def test_runs_our_snakefile_with_our_profile_from_any_folder(self, tmp_path, monkeypatch):
        for folder in (ROOT, tmp_path):
            monkeypatch.chdir(folder)
            line = prepare(["x"], gpu=True)
            assert line.values("snakefile") == [str(ROOT / "Snakefile")]
            assert line.values("workflow_profile") == [str(ROOT / "profiles/default")]

    @pytest.mark.parametrize(
        "named", [["--snakefile", "mine.smk"], ["-s", "mine.smk"], ["--snakefile=mine.smk"]]
    )
    def test_runs_another_one_only_if_it_is_named(self, named):
        line = prepare([*named, "x"], gpu=True)
        assert line.values("snakefile") == ["mine.smk"]
        assert line.values("workflow_profile") is None


@pytest.mark.parametrize("place", ["Snakefile", "workflow/Snakefile"])
def test_a_foreign_workflow_in_the_folder_never_runs(tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("rule all:\n    shell: 'touch foreign'\n")
    (tmp_path / "default").mkdir()  # no profile either
    words = [sys.executable, "-m", "workflow.run", "--list-rules"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train_model" in done.stdout
    assert ("The Snakefile of this folder is not used" in done.stderr) == (place == "Snakefile")


@pytest.mark.parametrize("name", ["slurm", "none", str(ROOT / "profiles/workstation")])
def test_a_workflow_profile_that_is_there_passes(name):
    check_profiles([name])


def test_a_misspelt_workflow_profile_is_told_since_snakemake_goes_on_without_it():
    with pytest.raises(
        ConfigError, match=r"--workflow-profile: .* one of default, slurm, workstation, found 'slrum'"
    ):
        check_profiles(["slrum"])
