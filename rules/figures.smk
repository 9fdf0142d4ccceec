# The figures of the papers, drawn from our runs. What each needs stands in papers/figures/registry.py.


rule draw_paper_figure:
    """Draw a figure of the papers from our runs."""
    input:
        files=planned(papers.figure_files),
        results=planned(papers.figure_results),
        published=planned(papers.figure_published),
    output:
        picture=report(
            "results/figures/{figure}.png",
            caption="../workflow/report/paper_figure.rst",
            category=folders["Papers"],
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
        mem_mb=memory(2000),
        runtime=10,
    params:
        runs=planned(papers.figure_runs),
        target=lookup("target", within=config),
        numbers=numbers.digest(),
        code=code("papers.figures.__main__"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "python -m workflow.job {log} papers.figures {wildcards.figure} --runs {params.runs}"
        " --results {input.results} --published {input.published} --target {params.target}"
        " --out {output.picture}"
