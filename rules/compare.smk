# The methods of an experiment beside each other: rows of one table, and differences paired by split and seed.


rule compare_methods:
    """Compare all methods on the same findings, splits and seeds."""
    input:
        results=expand("results/{method}_auc.json", method=config["methods"]),
        predictions=targets.compared(config, "predictions.csv"),
        best=targets.compared(config, "best/predictions.csv"),
        splits=training.splits_of_target(config),
    output:
        comparison="results/comparison.csv",
        comparison_markdown="results/comparison.md",
        comparison_latex="results/comparison.tex",
        comparison_page=report(
            "results/comparison.html",
            caption="../workflow/report/comparison.rst",
            category=folders["Comparison"],
            labels={"figure": "methods, table"},
        ),
        differences="results/differences.csv",
        differences_markdown="results/differences.md",
        differences_latex="results/differences.tex",
        differences_page=report(
            "results/differences.html",
            caption="../workflow/report/comparison_differences.rst",
            category=folders["Comparison"],
            labels={"figure": "paired differences, table"},
        ),
        forest=report(
            "results/comparison.png",
            caption="../workflow/report/comparison_differences.rst",
            category=folders["Comparison"],
            labels={"figure": "paired differences"},
        ),
        roc=report(
            "results/roc.png",
            caption="../workflow/report/comparison_roc.rst",
            category=folders["Comparison"],
            labels={"figure": "ROC of all methods"},
        ),
    log:
        "logs/results/comparison.log",
    benchmark:
        "benchmarks/results/comparison.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        runs=targets.compared(config),
        untrained=targets.untrained(config),
        choices=flags({key: config["comparison"][key] for key in ("reference", "pairs", "difference")}),
        code=code("model.evaluation.compare"),
    message:
        "Comparing the methods"
    shell:
        "python -m workflow.job {log} model.evaluation.compare --results {input.results} --runs {params.runs}"
        " --splits {input.splits:q} {params.choices} --untrained {params.untrained}"
        " --out-comparison {output.comparison}"
        " --out-differences {output.differences} --out-forest {output.forest} --out-roc {output.roc}"
