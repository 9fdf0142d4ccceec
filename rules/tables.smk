# The papers' tables with ours beside theirs, and the runs that were published, as histories of ours.

from model import papers


rule replay_published:
    """Write the public logs of Hydra as histories of ours."""
    input:
        logs=published_logs,
    output:
        hydra="published/hydra/history.csv",
        transfer="published/transfer/history.csv",
    log:
        "logs/published/history.log",
    benchmark:
        "benchmarks/published/history.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        folder=published_folder,
        code=code("model.replay"),
    message:
        "Replaying the published logs"
    shell:
        "python -m workflow.logged {log} model.replay {params.folder:q} --out published"


def table_results(wildcards):
    """The results that stand in a table, of the methods of the experiment."""
    tested = config["methods"] if config["split"]["kind"] != "all" else []
    return expand("results/{method}_auc.json", method=papers.methods_of(wildcards.table, tested))


def table_histories(wildcards):
    """The learning curves that a table is made of."""
    return expand(
        "results/{method}/fold{fold}/seed{seed}/history.csv",
        method=papers.with_histories(wildcards.table, config["methods"]),
        fold=range(config["split"]["n"]),
        seed=config["seeds"],
    )


def table_challenge(wildcards):
    """Scores on the challenge's findings, where the config names their truth."""
    scored = config["methods"] if config["truth"] else []
    return expand("results/{method}_challenge.json", method=papers.with_challenge(wildcards.table, scored))


def table_published(wildcards):
    """The public logs, where the config names them and the table has what they tell."""
    named = config["published"] and wildcards.table in ("hydra_1", "transfer_log")
    return list(rules.replay_published.output) if named else []


def table_phases(wildcards):
    """The phases of the methods in a table, as JSON."""
    trained = [name for name in papers.methods_of(wildcards.table, config["methods"]) if name in METHODS]
    return json.dumps({name: methods.phases(name, config) for name in trained})


def table_candidates(wildcards):
    """How many random networks the methods in a table score, as JSON."""
    rwg = config["hyperparameters"]["rwg"]["candidates"]
    counts = {"typhon": config["bootstrap"]["candidates"], "rwg": rwg}
    shown = papers.methods_of(wildcards.table, config["methods"])
    return json.dumps({name: count for name, count in counts.items() if name in shown})


def target_kind(wildcards):
    """What kind of data the target is, to say how it compares with that of the papers."""
    return "phantom" if "phantom" in config else config["collections"][config["target"]]["kind"]


rule write_paper_table:
    """Write a table of the papers with ours beside theirs."""
    input:
        results=table_results,
        histories=table_histories,
        published=table_published,
        challenge=table_challenge,
    output:
        csv=report(
            "results/tables/{table}.csv",
            caption="../workflow/report/tables.rst",
            category="Papers",
            labels=lambda wildcards: {"figure": papers.TABLES[wildcards.table].split(":")[0]},
        ),
        markdown="results/tables/{table}.md",
        latex="results/tables/{table}.tex",
    log:
        "logs/results/tables/{table}.log",
    benchmark:
        "benchmarks/results/tables/{table}.tsv"
    wildcard_constraints:
        table="|".join(papers.TABLES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        phases=table_phases,
        candidates=table_candidates,
        target=lookup("target", within=config),
        datasets=lookup("datasets", within=config),
        kind=target_kind,
        split=lookup("split/kind", within=config),
        numbers=papers.digest(),
        code=code("model.tables"),
    message:
        "Writing {wildcards.table}"
    shell:
        "python -m workflow.logged {log} model.tables {wildcards.table} --results {input.results}"
        " --histories {input.histories} --published {input.published} --challenge {input.challenge}"
        " --phases {params.phases:q} --candidates {params.candidates:q} --target {params.target}"
        " --datasets {params.datasets} --kind {params.kind} --split {params.split} --out {output.csv}"


rule tables:
    """All tables of the papers, and those of the comparison where there are methods to compare."""
    input:
        expand("results/tables/{table}.csv", table=papers.TABLES),
        ["results/comparison.csv", "results/differences.csv"]
        if len(config["methods"]) > 1 and config["split"]["kind"] != "all"
        else [],
