# Learning curves, on demand: ./run curve. Their points are methods by the name of curve/{method}/n{findings}, so
# the rules of train.smk and baselines.smk make their runs.


rule draw_learning_curves:
    """Show what more findings to learn from bring."""
    input:
        results=planned(curve.results),
        splits=training.splits_of_target(config),
    output:
        table="results/curve.csv",
        page=report(
            "results/curve.html",
            caption="../workflow/report/learning.rst",
            category=folders["Comparison"],
            labels={"figure": "learning curves, table"},
        ),
        picture=report(
            "results/curve.png",
            caption="../workflow/report/learning.rst",
            category=folders["Comparison"],
            labels={"figure": "learning curves"},
        ),
    log:
        "logs/results/curve.log",
    benchmark:
        "benchmarks/results/curve.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        target=lookup("target", within=config),
        methods=planned(curve.methods),
        findings=planned(curve.findings),
        counted=planned(curve.counted),
        code=code("model.report.learning"),
    message:
        "Drawing learning curves"
    shell:
        "python -m workflow.job {log} model.report.learning --target {params.target} --results {input.results}"
        " --methods {params.methods} --findings {params.findings} --splits {input.splits:q}"
        " {params.counted} --out {output.table} --picture {output.picture}"


rule curve:
    """The learning curves that the config describes, as a table and a picture."""
    input:
        rules.draw_learning_curves.output,
