# The figures of the papers, drawn from our runs. What each needs stands in model/figures/registry.py.


def runs_of_figure(wildcards):
    """The folders of the runs that a figure shows."""
    methods = drawn(wildcards.figure, config["methods"])
    return expand(
        "results/{method}/fold{fold}/seed{seed}",
        method=methods if FIGURES[wildcards.figure].files else [],
        fold=range(config["split"]["n"]),
        seed=config["seeds"],
    )


def files_of_figure(wildcards):
    """What it reads of them."""
    return [f"{run}/{file}" for run in runs_of_figure(wildcards) for file in FIGURES[wildcards.figure].files]


def results_of_figure(wildcards):
    """The results that a figure shows."""
    methods = drawn(wildcards.figure, config["methods"]) if FIGURES[wildcards.figure].results else []
    return expand("results/{method}_auc.json", method=methods)


def published_beneath(wildcards):
    """The public logs, where the config names them and the figure has room for them."""
    shown = config["published"] and FIGURES[wildcards.figure].published
    return rules.replay_published.output.hydra if shown else []


rule draw_paper_figure:
    """Draw a figure of the papers from our runs."""
    input:
        files=files_of_figure,
        results=results_of_figure,
        published=published_beneath,
    output:
        picture=report(
            "results/figures/{figure}.png",
            caption="../workflow/report/paper_figure.rst",
            category="Papers",
            labels=lambda wildcards: {"figure": FIGURES[wildcards.figure].paper},
        ),
    log:
        "logs/results/figures/{figure}.log",
    benchmark:
        "benchmarks/results/figures/{figure}.tsv"
    wildcard_constraints:
        figure="|".join(FIGURES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        runs=runs_of_figure,
        target=lookup("target", within=config),
        numbers=papers.digest(),
        code=code("model.figures.__main__"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "python -m workflow.logged {log} model.figures {wildcards.figure} --runs {params.runs}"
        " --results {input.results} --published {input.published} --target {params.target}"
        " --out {output.picture}"
