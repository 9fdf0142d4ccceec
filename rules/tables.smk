# The papers' tables with ours beside theirs, and the runs that were published, as histories of ours.


rule replay_published:
    """Write the public logs of Hydra as histories of ours."""
    input:
        logs=planned(raw.logs),
    output:
        **papers.REPLAYED,
    log:
        "logs/published/history.log",
    benchmark:
        "benchmarks/published/history.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        folder=lambda wildcards, input: Path(input.logs[0]).parent,
        code=code("papers.replay"),
    message:
        "Replaying the published logs"
    shell:
        "python -m workflow.job {log} papers.replay {params.folder:q} --out published"


rule write_paper_table:
    """Write a table of the papers with ours beside theirs."""
    input:
        results=planned(papers.table_results),
        histories=planned(papers.table_histories),
        published=planned(papers.table_published),
        challenge=planned(papers.table_challenge),
    output:
        csv="results/tables/{table}.csv",
        markdown="results/tables/{table}.md",
        latex="results/tables/{table}.tex",
        page=report(
            "results/tables/{table}.html",
            caption="../workflow/report/tables.rst",
            category=folders["Papers"],
            labels=lambda wildcards: {"figure": numbers.TABLES[wildcards.table].split(":")[0]},
        ),
    log:
        "logs/results/tables/{table}.log",
    benchmark:
        "benchmarks/results/tables/{table}.tsv"
    wildcard_constraints:
        table="|".join(numbers.TABLES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=10,
    params:
        phases=planned(papers.table_phases),
        candidates=planned(papers.table_candidates),
        target=lookup("target", within=config),
        datasets=lookup("datasets", within=config),
        kind=papers.target_kind(config),
        split=lookup("split/kind", within=config),
        numbers=numbers.digest(),
        code=code("papers.tables"),
    message:
        "Writing {wildcards.table}"
    shell:
        "python -m workflow.job {log} papers.tables {wildcards.table} --results {input.results}"
        " --histories {input.histories} --published {input.published} --challenge {input.challenge}"
        " --phases {params.phases:q} --candidates {params.candidates:q} --target {params.target}"
        " --datasets {params.datasets} --kind {params.kind} --split {params.split} --out {output.csv}"


rule tables:
    """All tables of the papers where the data are theirs, and those of a comparison where methods are compared."""
    input:
        expand("results/tables/{table}.csv", table=papers.tables(config)),
        ["results/comparison.csv", "results/differences.csv"] if targets.compares(config) else [],
