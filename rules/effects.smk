# What the published way of each key changes, on demand: ./run demo effects. Each effect is the run once more with
# one key changed, made by a call of this workflow in a folder of its own, effects/{effect}.


rule measure_effect:
    """Run the experiment once more with one key as published, and keep what came of it."""
    input:
        before=planned(effects.before),
        stores=expand("<data>/{dataset}/patches.h5", dataset=config["datasets"]),
        splits=expand(
            "<data>/{dataset}/splits/fold{fold}.csv",
            dataset=config["datasets"],
            fold=range(config["split"]["n"]),
        ),
        cards=expand(
            "<data>/{dataset}/cards/fold{fold}.json",
            dataset=config["datasets"],
            fold=range(config["split"]["n"]),
        ),
    output:
        measured="results/effects/{effect}.json",
    log:
        "logs/results/effects/{effect}.log",
    benchmark:
        "benchmarks/results/effects/{effect}.tsv"
    wildcard_constraints:
        effect="|".join(effects.names()),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(2000, 1.5),
        runtime=2880,
    params:
        folder=planned(effects.folder),
        settings=planned(effects.settings),
        borrowed=planned(effects.borrowed),
        code=code(
            "workflow.effects.measure",
            "model.bootstrap.guess",
            "model.training.train",
            "model.inference.score_views",
            "model.evaluation.score",
        ),
    message:
        "Measuring the effect of {wildcards.effect}"
    shell:
        "python -m workflow.job {log} workflow.effects.measure --folder {params.folder}"
        " --config {params.settings:q} {params.borrowed} --cores {threads} --gpu {resources.gpu}"
        " --out {output.measured}"


rule tabulate_effects:
    """Set the published way of each key beside the right one."""
    input:
        measured=planned(effects.measured),
    output:
        csv="results/tables/effects.csv",
        markdown="results/tables/effects.md",
        latex="results/tables/effects.tex",
        page=report(
            "results/tables/effects.html",
            caption="../workflow/report/effects.rst",
            category=folders["Papers"],
            labels={"figure": "Effect of each published way"},
        ),
    log:
        "logs/results/tables/effects.log",
    benchmark:
        "benchmarks/results/tables/effects.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        about=planned(effects.described),
        code=code("workflow.effects.tabulate"),
    message:
        "Tabulating the effects"
    shell:
        "python -m workflow.job {log} workflow.effects.tabulate --measured {input.measured}"
        " --about {params.about:q} --out {output.csv}"


rule effects:
    """What the published way of each key changes."""
    input:
        rules.tabulate_effects.output.csv,
