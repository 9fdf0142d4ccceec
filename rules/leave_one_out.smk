# Transfer to each task in turn from all others, on demand: ./run leave_one_out. Pre-trainings and what comes of them
# are methods by the names leave_one_out/{target}/{method} and leave_one_out/{target}/{source}/{way}, so the rules of
# train.smk and baselines.smk make their runs.


rule compare_sources:
    """Set what comes of each source side by side, for each target and way."""
    input:
        results=planned(leave_one_out.results),
        predictions=planned(leave_one_out.each_run, file="predictions.csv"),
        best=planned(leave_one_out.each_run, file="best/predictions.csv"),
        splits=leave_one_out.splits(config),
    output:
        table="results/leave_one_out.csv",
        page=report(
            "results/leave_one_out.html",
            caption="../workflow/report/leave_one_out.rst",
            category=folders["Comparison"],
            labels={"figure": "each task left out once, table"},
        ),
        differences="results/leave_one_out_differences.csv",
        differences_page=report(
            "results/leave_one_out_differences.html",
            caption="../workflow/report/leave_one_out.rst",
            category=folders["Comparison"],
            labels={"figure": "each task left out once, paired differences"},
        ),
        picture=report(
            "results/leave_one_out.png",
            caption="../workflow/report/leave_one_out.rst",
            category=folders["Comparison"],
            labels={"figure": "each task left out once"},
        ),
    log:
        "logs/results/leave_one_out.log",
    benchmark:
        "benchmarks/results/leave_one_out.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        runs=planned(leave_one_out.each_run),
        code=code("model.evaluation.leave_one_out"),
    message:
        "Comparing the sources of each task"
    shell:
        "python -m workflow.job {log} model.evaluation.leave_one_out --results {input.results}"
        " --runs {params.runs} --splits {input.splits:q} --out {output.table}"
        " --differences {output.differences} --picture {output.picture}"


rule draw_multitask_architecture:
    """Draw the network that was trained on all tasks but the first, as Mormont et al. drew theirs."""
    input:
        model=planned(leave_one_out.first_pretraining, file="model.safetensors"),
        facts=planned(leave_one_out.first_pretraining, file="run.json"),
    output:
        picture=report(
            "results/leave_one_out_architecture.png",
            caption="../workflow/report/architecture.rst",
            category=folders["Papers"],
            labels={"figure": FIGURES["mormont_1"].paper},
        ),
    log:
        "logs/results/leave_one_out_architecture.log",
    benchmark:
        "benchmarks/results/leave_one_out_architecture.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        run=planned(leave_one_out.first_pretraining),
        target=lookup("target", within=config),
        code=code("papers.figures.__main__"),
    message:
        "Drawing the multi-task architecture"
    shell:
        "python -m workflow.job {log} papers.figures mormont_1 --runs {params.run} --target {params.target}"
        " --out {output.picture}"


rule leave_one_out:
    """What comes of pre-training on all tasks but one for that one, for each in turn."""
    input:
        rules.compare_sources.output,
        planned(leave_one_out.architecture),
