# Grid search, on demand: ./run search. Its candidates are methods by the name of search/{method}/candidate{n},
# so the rules of train.smk make their runs.


rule score_candidates:
    """Compare the candidates of a search in validation, and write the best as a config file."""
    input:
        predictions=planned(search.predictions),
        splits=training.splits_of_target(config),
    output:
        table="results/search/{method}/candidates.csv",
        page=report(
            "results/search/{method}/candidates.html",
            caption="../workflow/report/search.rst",
            category=folders["Search"],
            labels={"method": "{method}", "figure": "candidates, table"},
        ),
        best="results/search/{method}/best.yaml",
    log:
        "logs/results/search/{method}/candidates.log",
    benchmark:
        "benchmarks/results/search/{method}/candidates.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        grid=planned(search.grid),
        skip=lookup("search/skip", within=config),
        target=lookup("target", within=config),
        folds=lookup("split/n", within=config),
        seeds=lookup("seeds", within=config),
        code=code("model.search.choose"),
    message:
        "Comparing the candidates for {wildcards.method}"
    shell:
        "python -m workflow.job {log} model.search.choose score --method {wildcards.method}"
        " --grid {params.grid:q} --skip {params.skip} --target {params.target}"
        " --folder results/search/{wildcards.method} --folds {params.folds} --seeds {params.seeds}"
        " --splits {input.splits:q} --out {output.table} --best {output.best}"


rule draw_candidates:
    """Show the candidates of a search side by side."""
    input:
        table=rules.score_candidates.output.table,
    output:
        picture=report(
            "results/search/{method}/candidates.png",
            caption="../workflow/report/search.rst",
            category=folders["Search"],
            labels={"method": "{method}", "figure": "candidates"},
        ),
    log:
        "logs/results/search/{method}/candidates_picture.log",
    benchmark:
        "benchmarks/results/search/{method}/candidates_picture.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        code=code("model.search.choose"),
    message:
        "Drawing the candidates for {wildcards.method}"
    shell:
        "python -m workflow.job {log} model.search.choose draw --candidates {input.table} --out {output.picture}"


rule search:
    """The search that the config describes: its candidates, the best of them, and a picture."""
    input:
        planned(search.items),
