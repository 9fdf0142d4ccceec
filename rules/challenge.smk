# Predictions for the test findings of the PROSTATEx challenge, which have no labels: one table per run, their mean
# as the challenge's CSV, and its score where the config names the truth.


rule predict_challenge:
    """Score the first views of every finding of the challenge with the network of a run."""
    input:
        stores=planned(training.stores),
        splits=planned(training.splits),
        model=planned(challenge.state),
        challenge=planned(challenge.file, name="patches.h5"),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/challenge.csv",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/challenge.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/challenge.tsv"
    wildcard_constraints:
        method="|".join(variants.networks(config)),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(1500, 1.5),
        runtime=60,
    params:
        target=lookup("target", within=config),
        views=lookup("evaluation_views", within=config),
        reading=planned(training.reading),
        people=planned(training.people),
        code=planned(training.code_of, module="model.inference.score_views"),
    message:
        "Scoring the challenge's findings with {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.inference.score_views --stores {input.stores:q} --splits {input.splits:q}"
        " {params.reading} --people {params.people} --model {input.model} --gpu {resources.gpu} --unlabelled {input.challenge:q}"
        " --target {params.target} --views {params.views} --out {output.predictions}"


rule predict_challenge_simply:
    """Fit a baseline once more and score the first views of every finding of the challenge."""
    input:
        unpack(planned(baselines.files_of_both)),
        stores=planned(training.stores),
        splits=planned(training.splits),
        challenge=planned(challenge.file, name="patches.h5"),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/challenge.csv",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/challenge_simply.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/challenge_simply.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, {*BASELINES} - {*COVARIATES, *STACKED})),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        method=planned(training.base),
        options=lambda wildcards, input: baselines.options(config, wildcards.method, dict(input.items())),
        views=lookup("evaluation_views", within=config),
        reading=planned(training.reading),
        people=planned(training.people),
        code=code("model.baselines.fit"),
    message:
        "Scoring the challenge's findings with {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.baselines.fit {params.method} --stores {input.stores:q}"
        " --splits {input.splits:q} {params.reading} --people {params.people} --seed {wildcards.seed} {params.options}"
        " --unlabelled {input.challenge:q} --views {params.views} --out {output.predictions}"


rule predict_challenge_by_candidates:
    """Score the first views of every finding of the challenge with what was chosen and stacked."""
    input:
        model=planned(challenge.state),
        card="results/{method}/fold{fold}/seed{seed}/card.json",
        challenge=planned(challenge.file, name="patches.h5"),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/challenge.csv",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/challenge_candidates.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/challenge_candidates.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, STACKED)),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        target=lookup("target", within=config),
        views=lookup("evaluation_views", within=config),
        code=planned(baselines.candidates_code, module="model.baselines.unlabelled"),
    message:
        "Scoring the challenge's findings with {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.baselines.unlabelled --model {input.model} --target {params.target}"
        " --unlabelled {input.challenge:q} --views {params.views} --out {output.predictions}"


rule write_challenge:
    """Average the views and runs of a method into the challenge's CSV, every official finding once."""
    input:
        predictions=planned(training.files, name="challenge.csv"),
        index=planned(challenge.file, name="index.parquet"),
        skipped=planned(challenge.file, name="skipped.csv"),
    output:
        table=report(
            "results/{method}_challenge.csv",
            caption="../workflow/report/challenge.rst",
            category=folders["Results"],
            labels={"method": "{method}", "figure": "challenge, table"},
        ),
    log:
        "logs/results/{method}_challenge.log",
    benchmark:
        "benchmarks/results/{method}_challenge.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        raw=untracked(planned(challenge.folder)),
        most=planned(challenge.max_skipped),
        code=code("papers.challenge"),
    message:
        "Writing the challenge's table of {wildcards.method}"
    shell:
        "python -m workflow.job {log} papers.challenge write --runs {input.predictions} --index {input.index:q}"
        " --raw {params.raw:q} --skipped {input.skipped:q} --max-skipped {params.most} --out {output.table}"


rule score_challenge:
    """Score the challenge's CSV of a method against the truth."""
    input:
        table=rules.write_challenge.output.table,
        truth=planned(challenge.truth),
    output:
        result="results/{method}_challenge.json",
    log:
        "logs/results/{method}_challenge_score.log",
    benchmark:
        "benchmarks/results/{method}_challenge_score.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        truth=planned(challenge.truth_file),
        code=code("papers.challenge"),
    message:
        "Scoring {wildcards.method} on the challenge's findings"
    shell:
        "python -m workflow.job {log} papers.challenge score --method {wildcards.method} --csv {input.table}"
        " --truth {params.truth:q} --out {output.result}"
