# What scores are worth in use: calibration, operating points, per patient, subgroups, robustness.


rule assess_methods:
    """Say what the scores of all methods are worth in use: calibration, operating points, precision, decisions."""
    input:
        results=expand("results/{method}_auc.json", method=config["methods"]),
        predictions=targets.compared(config, "predictions.csv"),
        best=targets.compared(config, "best/predictions.csv"),
        splits=training.splits_of_target(config),
    output:
        calibration="results/calibration.csv",
        calibration_markdown="results/calibration.md",
        calibration_latex="results/calibration.tex",
        calibration_page=report(
            "results/calibration.html",
            caption="../workflow/report/calibration.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "calibration, table"},
        ),
        reliability=report(
            "results/calibration.png",
            caption="../workflow/report/reliability.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "reliability"},
        ),
        ranking="results/ranking.csv",
        ranking_markdown="results/ranking.md",
        ranking_latex="results/ranking.tex",
        ranking_page=report(
            "results/ranking.html",
            caption="../workflow/report/ranking.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "per finding and per patient"},
        ),
        precision=report(
            "results/precision_recall.png",
            caption="../workflow/report/precision_recall.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "precision and recall"},
        ),
        operating="results/operating.csv",
        operating_markdown="results/operating.md",
        operating_latex="results/operating.tex",
        operating_page=report(
            "results/operating.html",
            caption="../workflow/report/operating.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "operating points"},
        ),
        points=report(
            "results/operating.png",
            caption="../workflow/report/operating_points.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "operating points on the ROC curve"},
        ),
        decisions=report(
            "results/decision.png",
            caption="../workflow/report/decision.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "decisions"},
        ),
        conformal="results/conformal.csv",
        conformal_markdown="results/conformal.md",
        conformal_latex="results/conformal.tex",
        conformal_page=report(
            "results/conformal.html",
            caption="../workflow/report/conformal.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "conformal sets"},
        ),
        abstain=report(
            "results/abstain.png",
            caption="../workflow/report/abstain.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "what is left to a person"},
        ),
        runs=targets.compared(config, "operating.json"),
    log:
        "logs/results/operating.log",
    benchmark:
        "benchmarks/results/operating.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        runs=targets.compared(config),
        points=flags(config["operating"]),
        by_views=planned(training.by_views),
        code=code("model.evaluation.assess"),
    message:
        "Assessing the scores of all methods"
    shell:
        "python -m workflow.job {log} model.evaluation.assess --results {input.results} --runs {params.runs}"
        " --splits {input.splits:q} {params.points} --by-views {params.by_views} --out-calibration {output.calibration}"
        " --out-ranking {output.ranking} --out-operating {output.operating} --out-reliability {output.reliability}"
        " --out-precision {output.precision} --out-points {output.points} --out-decisions {output.decisions} --out-conformal {output.conformal}"
        " --out-abstain {output.abstain}"


rule predict_corrupted:
    """Score the target's test findings with the model of a run, as they are and corrupted."""
    input:
        model=planned(challenge.state),
        card="results/{method}/fold{fold}/seed{seed}/card.json",
        patches=f"<data>/{config['target']}/patches.h5",
        split=f"<data>/{config['target']}/splits/fold{{fold}}.csv",
    output:
        scores="results/{method}/fold{fold}/seed{seed}/robustness.csv",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/robustness.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/robustness.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, [*METHODS, "probe", *STACKED])),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=480,
    params:
        target=lookup("target", within=config),
        code=planned(baselines.model_code, module="model.inference.robustness"),
    message:
        "Scoring corrupted test findings of {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.inference.robustness --model {input.model} --target {params.target}"
        " --store {input.patches:q} --split {input.split:q} --out {output.scores}"


rule assess_robustness:
    """Say what is left of the AUROC of all methods where their test findings are corrupted."""
    input:
        results=external.method_results(config),
        predictions=external.of_runs(config, "predictions.csv"),
        best=external.of_runs(config, "best/predictions.csv"),
        scores=planned(targets.corrupted),
        splits=training.splits_of_target(config),
    output:
        table="results/robustness.csv",
        markdown="results/robustness.md",
        latex="results/robustness.tex",
        page=report(
            "results/robustness.html",
            caption="../workflow/report/robustness.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "robustness, table"},
        ),
        picture=report(
            "results/robustness.png",
            caption="../workflow/report/robustness.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "robustness"},
        ),
    log:
        "logs/results/robustness.log",
    benchmark:
        "benchmarks/results/robustness.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        runs=external.of_runs(config),
        code=code("model.evaluation.robustness"),
    message:
        "Assessing what corruptions of the test findings come to"
    shell:
        "python -m workflow.job {log} model.evaluation.robustness --results {input.results} --runs {params.runs}"
        " --splits {input.splits:q} --out {output.table} --out-picture {output.picture}"


rule tabulate_subgroups:
    """Say how well all methods do in parts of the test findings: by age, sex, scanner, site, size."""
    input:
        results=expand("results/{method}_auc.json", method=config["methods"]),
        predictions=targets.compared(config, "predictions.csv"),
        best=targets.compared(config, "best/predictions.csv"),
        splits=training.splits_of_target(config),
        findings=f"<data>/{config['target']}/findings.csv",
        index=f"<data>/{config['target']}/index.parquet",
        table=planned(targets.subgroups_table),
    output:
        table="results/subgroups.csv",
        markdown="results/subgroups.md",
        latex="results/subgroups.tex",
        page=report(
            "results/subgroups.html",
            caption="../workflow/report/subgroups.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "subgroups, table"},
        ),
        picture=report(
            "results/subgroups.png",
            caption="../workflow/report/subgroups.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "subgroups"},
        ),
    log:
        "logs/results/subgroups.log",
    benchmark:
        "benchmarks/results/subgroups.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        runs=targets.compared(config),
        table=lambda wildcards, input: flags({"table": input.get("table") or None}),
        options=planned(targets.subgroups_options),
        code=code("model.evaluation.subgroups"),
    message:
        "Tabulating the subgroups"
    shell:
        "python -m workflow.job {log} model.evaluation.subgroups --results {input.results} --runs {params.runs}"
        " --splits {input.splits:q} --findings {input.findings:q} --index {input.index:q} {params.table}"
        " {params.options} --out {output.table}"
