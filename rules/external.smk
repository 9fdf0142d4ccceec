# Data sets that no step sees before the test: none of them trains, validates, calibrates or chooses anything.

# A regular expression that fits no name, where there is none.
EXTERNAL = "|".join(config["external"]) or "(?!)"


ruleorder: split_external > split_findings


if data.is_told(config):

    ruleorder: split_external > split_as_given


rule split_external:
    """Make all findings of an external data set the test, once nobody in it is in the experiment's data sets."""
    input:
        patches="<data>/{dataset}/patches.h5",
        findings="<data>/{dataset}/findings.csv",
        skipped="<data>/{dataset}/skipped.csv",
        others=external.others(config, "patches.h5"),
        others_findings=external.others(config, "findings.csv"),
    output:
        split="<data>/{dataset}/splits/fold{fold}.csv",
    log:
        "logs/data/{dataset}/splits/external/fold{fold}.log",
    benchmark:
        "benchmarks/data/{dataset}/splits/external/fold{fold}.tsv"
    wildcard_constraints:
        dataset=EXTERNAL,
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        same=planned(external.same_people),
        options=planned(data.options, keys=("max_skipped",)),
        views=lookup("evaluation_views", within=config),
        code=code("pipeline.splits.external"),
    message:
        "Checking that nobody in {wildcards.dataset} has been seen, fold {wildcards.fold}"
    shell:
        "python -m workflow.job {log} pipeline.splits.external --store {input.patches:q} --findings {input.findings:q}"
        " --others {input.others:q} --others-findings {input.others_findings:q} --same {params.same}"
        " --skipped {input.skipped:q} {params.options} --evaluation-views {params.views} --out {output.split:q}"


rule predict_external:
    """Score every view of an external data set with the model of a run."""
    input:
        model=planned(challenge.state),
        card="results/{method}/fold{fold}/seed{seed}/card.json",
        seen=planned(external.seen),
        patches="<data>/{dataset}/patches.h5",
        split="<data>/{dataset}/splits/fold{fold}.csv",
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/external/{dataset}.csv",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/external/{dataset}.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/external/{dataset}.tsv"
    wildcard_constraints:
        dataset=EXTERNAL,
        method="|".join(variants.names(config, [*METHODS, "probe", *STACKED])),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        target=lookup("target", within=config),
        people=planned(external.people_of),
        code=planned(external.code_of),
    message:
        "Scoring {wildcards.dataset} with {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.inference.external --model {input.model} --target {params.target}"
        " --store {input.patches:q} --split {input.split:q} --people {params.people:q} --seen {input.seen:q}"
        " --out {output.predictions}"


rule assess_external:
    """Say how all methods do on data sets that no step has seen: ranking, calibration, operating points."""
    input:
        results=external.method_results(config),
        predictions=external.of_runs(config, "predictions.csv"),
        best=external.of_runs(config, "best/predictions.csv"),
        external=planned(external.predictions),
        splits=training.splits_of_target(config),
        external_splits=external.splits(config),
    output:
        ranking="results/external/ranking.csv",
        ranking_markdown="results/external/ranking.md",
        ranking_latex="results/external/ranking.tex",
        ranking_page=report(
            "results/external/ranking.html",
            caption="../workflow/report/external_ranking.rst",
            category=folders["External"],
            labels={"data set": "(all)", "figure": "AUROC, beside the own test"},
        ),
        calibration="results/external/calibration.csv",
        calibration_markdown="results/external/calibration.md",
        calibration_latex="results/external/calibration.tex",
        calibration_page=report(
            "results/external/calibration.html",
            caption="../workflow/report/external_calibration.rst",
            category=folders["External"],
            labels={"data set": "(all)", "figure": "calibration, table"},
        ),
        reliability=report(
            "results/external/reliability.png",
            caption="../workflow/report/external_calibration.rst",
            category=folders["External"],
            labels={"data set": "(all)", "figure": "reliability"},
        ),
        operating="results/external/operating.csv",
        operating_markdown="results/external/operating.md",
        operating_latex="results/external/operating.tex",
        operating_page=report(
            "results/external/operating.html",
            caption="../workflow/report/external_operating.rst",
            category=folders["External"],
            labels={"data set": "(all)", "figure": "operating points"},
        ),
    log:
        "logs/results/external/operating.log",
    benchmark:
        "benchmarks/results/external/operating.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        runs=external.of_runs(config),
        points=external.points(config),
        by_views=planned(training.by_views),
        code=code("model.evaluation.external"),
    message:
        "Assessing all methods on {input.external_splits}"
    shell:
        "python -m workflow.job {log} model.evaluation.external --results {input.results} --runs {params.runs}"
        " --splits {input.splits:q} --external-splits {input.external_splits:q} {params.points}"
        " --by-views {params.by_views}"
        " --out-ranking {output.ranking} --out-calibration {output.calibration}"
        " --out-operating {output.operating} --out-reliability {output.reliability}"


rule tabulate_shift:
    """Say how external data sets differ from the training findings of the target."""
    input:
        target=external.measured(config["target"]),
        splits=training.splits_of_target(config),
        external=[file for name in config["external"] for file in external.measured(name)],
        external_splits=external.splits(config),
    output:
        table="results/external/shift.csv",
        markdown="results/external/shift.md",
        latex="results/external/shift.tex",
        page=report(
            "results/external/shift.html",
            caption="../workflow/report/external_shift.rst",
            category=folders["External"],
            labels={"data set": "(all)", "figure": "how they differ from training"},
        ),
    log:
        "logs/results/external/shift.log",
    benchmark:
        "benchmarks/results/external/shift.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        target=data.folder(config, config["target"]),
        folders=[data.folder(config, name) for name in config["external"]],
        code=code("model.report.shift"),
    message:
        "Comparing external data sets with the training of {params.target}"
    shell:
        "python -m workflow.job {log} model.report.shift --target {params.target:q} --splits {input.splits:q}"
        " --external {params.folders:q} --out {output.table}"
