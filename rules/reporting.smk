# What a paper has to say: checklists filled in from the run, and the flow of findings.


rule draw_flow:
    """Show how many findings were found, read, labelled, cut and put into each split, and what was left out."""
    input:
        fingerprints=reporting.fingerprints(config),
        splits=reporting.splits(config),
    output:
        picture=report(
            "results/flow.png",
            caption="../workflow/report/flow.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "flow of findings"},
        ),
    log:
        "logs/results/flow.log",
    benchmark:
        "benchmarks/results/flow.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        folds=lookup("split/n", within=config),
        code=code("pipeline.report.flow"),
    message:
        "Drawing the flow of findings"
    shell:
        "python -m workflow.job {log} pipeline.report.flow --fingerprints {input.fingerprints:q}"
        " --folds {params.folds} --out {output.picture}"


rule write_front:
    """Write what the report opens on: the result, who was tested, what was left out, and a caution."""
    input:
        **targets.front(config),
        results=expand("results/{method}_auc.json", method=config["methods"]),
    output:
        page="results/front.html",
    log:
        "logs/results/front.log",
    benchmark:
        "benchmarks/results/front.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=targets.front_options(config),
        code=code("model.report.front"),
    message:
        "Writing the first page of the report"
    shell:
        "python -m workflow.job {log} model.report.front --results {input.results} --roc {input.roc}"
        " --fingerprint {input.fingerprint:q} --checks {input.checks:q} {params.options} --out {output.page}"


rule write_reporting:
    """Fill in the items of TRIPOD+AI and CLAIM that the run knows, and mark the others open."""
    input:
        fingerprints=reporting.fingerprints(config),
        splits=reporting.splits(config),
        results=targets.tested(config),
        texts=[f"{ROOT}/config/reporting.csv", f"{ROOT}/config/answers.csv"],
    output:
        table="results/reporting.csv",
        markdown="results/reporting.md",
        latex="results/reporting.tex",
        page=report(
            "results/reporting.html",
            caption="../workflow/report/reporting.rst",
            category=folders["Provenance"],
            labels={"figure": "TRIPOD+AI and CLAIM"},
        ),
    log:
        "logs/results/reporting.log",
    benchmark:
        "benchmarks/results/reporting.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        facts=reporting.facts(config),
        code=code("model.report.reporting"),
    message:
        "Filling in TRIPOD+AI and CLAIM"
    shell:
        "python -m workflow.job {log} model.report.reporting --facts {params.facts:q}"
        " --fingerprints {input.fingerprints:q} --splits {input.splits:q} --results {input.results}"
        " --out {output.table}"
