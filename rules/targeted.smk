# The experiments of Romero et al., on demand: ./run targeted. Their points are those of learning curves; which
# figures and tables there are stands in papers/targeted.


rule draw_targeted:
    """Draw the figures of Romero et al.: test AUROC by the number of findings to learn from."""
    input:
        results=planned(targeted.every_result),
        splits=training.splits_of_target(config),
    output:
        pictures=[
            report(
                f"results/figures/{figure}.png",
                caption="../workflow/report/targeted.rst",
                category=folders["Papers"],
                labels={"figure": f"Romero et al., {STAGES[figure].paper}: {STAGES[figure].about}"},
            )
            for figure in targeted.shown(config)
        ],
    log:
        "logs/results/figures/targeted.log",
    benchmark:
        "benchmarks/results/figures/targeted.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1500),
        runtime=10,
    params:
        target=lookup("target", within=config),
        names=targeted.shown(config),
        points=planned(targeted.every_point),
        counted=planned(curve.counted),
        code=code("papers.targeted.figures"),
    message:
        "Drawing the figures of Romero et al."
    shell:
        "python -m workflow.job {log} papers.targeted.figures {params.names} --target {params.target}"
        " --results {input.results} {params.points} --splits {input.splits:q} {params.counted}"
        " --out {output.pictures}"


rule draw_policies:
    """Draw how rate and momentum change in a cycle of Romero et al."""
    output:
        pictures=[
            report(
                f"results/figures/{figure}.png",
                caption="../workflow/report/policies.rst",
                category=folders["Papers"],
                labels={"figure": f"Romero et al., {POLICIES[figure]}"},
            )
            for figure in POLICIES
        ],
    log:
        "logs/results/figures/policies.log",
    benchmark:
        "benchmarks/results/figures/policies.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1500),
        runtime=10,
    params:
        names=list(POLICIES),
        code=code("papers.targeted.figures"),
    message:
        "Drawing the cycles of Romero et al."
    shell:
        "python -m workflow.job {log} papers.targeted.figures {params.names} --out {output.pictures}"


rule tabulate_targeted:
    """Write what Romero et al. print and say, with what our runs give beside it."""
    input:
        results=planned(targeted.every_result),
        predictions=planned(targeted.every_prediction),
        splits=training.splits_of_target(config),
    output:
        csv=targeted.tables("csv"),
        markdown=targeted.tables("md"),
        latex=targeted.tables("tex"),
        pages=report(
            targeted.tables("html"),
            caption="../workflow/report/targeted_tables.rst",
            category=folders["Papers"],
            labels={"figure": "Romero et al., tables"},
        ),
    log:
        "logs/results/tables/targeted.log",
    benchmark:
        "benchmarks/results/tables/targeted.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=120,
    params:
        target=lookup("target", within=config),
        task=planned(targeted.task),
        points=planned(targeted.every_point),
        counted=planned(curve.counted),
        folder=lambda wildcards, output: Path(output.csv[0]).parent,
        numbers=targeted.digest(),
        code=code("papers.targeted.tables"),
    message:
        "Writing the tables of Romero et al."
    shell:
        "python -m workflow.job {log} papers.targeted.tables --target {params.target} --task {params.task}"
        " --results {input.results} {params.points} --splits {input.splits:q} {params.counted}"
        " --out {params.folder}"


rule targeted:
    """The figures and tables of Romero et al. that the methods of the curves allow."""
    input:
        planned(targeted.figures),
        rules.tabulate_targeted.output,
