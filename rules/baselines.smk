# Methods without a network. They write what the runs of networks write, so that the rules after them are the same.


rule embed_patches:
    """Show the stored views of a data set to a fixed network and keep what it makes of them."""
    input:
        store="<data>/{dataset}/patches.h5",
        weights=planned(baselines.weights_file),
    output:
        embeddings="<data>/{dataset}/embeddings/{encoder}.h5",
    log:
        "logs/data/{dataset}/embeddings/{encoder}.log",
    benchmark:
        "benchmarks/data/{dataset}/embeddings/{encoder}.tsv"
    wildcard_constraints:
        encoder="|".join(baselines.fixed_encoders(config)),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(2000),
        runtime=240,
    params:
        options=planned(baselines.encoder_options),
        checkpoint="checkpoints/embeddings/{dataset}/{encoder}",
        code=planned(baselines.encoder_code),
    message:
        "Embedding {wildcards.dataset} with {wildcards.encoder}"
    shell:
        "exec python -m workflow.job {log} model.baselines.embeddings --store {input.store:q} --encoder {wildcards.encoder}"
        " {params.options} --gpu {resources.gpu} --checkpoint {params.checkpoint} --out {output.embeddings:q}"


use rule embed_patches as embed_with_run with:
    input:
        store="<data>/{dataset}/patches.h5",
        run=planned(baselines.run_files),
    output:
        embeddings="results/{method}/fold{fold}/seed{seed}/embeddings/{encoder}/{dataset}.h5",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/embeddings/{encoder}/{dataset}.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/embeddings/{encoder}/{dataset}.tsv"
    wildcard_constraints:
        method="|".join(baselines.run_encoders(config).values()),
        encoder="|".join(baselines.run_encoders(config)),
    params:
        options=planned(baselines.run_encoder_options),
        checkpoint="checkpoints/embeddings/{method}/fold{fold}/seed{seed}/{encoder}/{dataset}",
        code=planned(baselines.encoder_code),
    message:
        "Embedding {wildcards.dataset} with {wildcards.encoder}, fold {wildcards.fold}, seed {wildcards.seed}"


rule measure_patches:
    """Measure the stored views of a data set, without a network."""
    input:
        store="<data>/{dataset}/patches.h5",
    output:
        features="<data>/{dataset}/embeddings/{features}.h5",
    log:
        "logs/data/{dataset}/measures/{features}.log",
    benchmark:
        "benchmarks/data/{dataset}/measures/{features}.tsv"
    wildcard_constraints:
        features="|".join(MEASURED),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=60,
    params:
        code=code("model.baselines.measure"),
    message:
        "Measuring the {wildcards.features} of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} model.baselines.measure --store {input.store:q} --features {wildcards.features}"
        " --out {output.features:q}"


rule fit_baseline:
    """Fit a baseline on the training findings and score the others."""
    input:
        unpack(planned(baselines.files)),
        stores=planned(training.stores),
        splits=planned(training.splits),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/predictions.csv",
        best="results/{method}/fold{fold}/seed{seed}/best/predictions.csv",
        run="results/{method}/fold{fold}/seed{seed}/run.json",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/baseline.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/baseline.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, {*BASELINES} - {"probe", *COVARIATES, *STACKED})),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        method=planned(training.base),
        options=lambda wildcards, input: baselines.options(config, wildcards.method, dict(input.items())),
        reading=planned(training.reading),
        code=code("model.baselines.fit"),
    message:
        "Fitting {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.baselines.fit {params.method} --stores {input.stores:q}"
        " --splits {input.splits:q} {params.reading} --seed {wildcards.seed} {params.options}"
        " --out {output.predictions} --best {output.best} --run {output.run}"


rule fit_probe:
    """Fit a regression on features of a fixed network, score the others, and write both as one model."""
    input:
        unpack(planned(baselines.files)),
        stores=planned(training.stores),
        splits=planned(training.splits),
        card=planned(training.cards),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/predictions.csv",
        best="results/{method}/fold{fold}/seed{seed}/best/predictions.csv",
        run="results/{method}/fold{fold}/seed{seed}/run.json",
        model="results/{method}/fold{fold}/seed{seed}/model.safetensors",
        best_model="results/{method}/fold{fold}/seed{seed}/best/model.safetensors",
        card="results/{method}/fold{fold}/seed{seed}/card.json",
        nearest="results/{method}/fold{fold}/seed{seed}/nearest.safetensors",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/probe.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/probe.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, ["probe"])),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, 6),
        runtime=60,
    params:
        options=lambda wildcards, input: baselines.options(config, wildcards.method, dict(input.items())),
        reading=planned(training.reading),
        people=planned(training.people),
        target=planned(training.target),
        state=planned(training.setting, key="evaluation/state"),
        code=planned(baselines.probe_code),
    message:
        "Fitting {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.baselines.probe --target {params.target} --method {wildcards.method}"
        " --state {params.state} --data-card {input.card:q} --models {output.model} {output.best_model}"
        " --card {output.card} --nearest {output.nearest} --run {output.run} --stores {input.stores:q}"
        " --splits {input.splits:q} {params.reading} --people {params.people} --seed {wildcards.seed} {params.options}"
        " --out {output.predictions} --best {output.best}"


rule fit_covariates:
    """Fit a regression on columns of the user's table, alone or beside the score of a probe, and score the others."""
    input:
        unpack(planned(baselines.files)),
        stores=planned(training.stores),
        splits=planned(training.splits),
        findings=baselines.of_target(config, "findings.csv"),
        index=baselines.of_target(config, "index.parquet"),
        table=planned(targets.covariates_table),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/predictions.csv",
        best="results/{method}/fold{fold}/seed{seed}/best/predictions.csv",
        run="results/{method}/fold{fold}/seed{seed}/run.json",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/covariates.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/covariates.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, COVARIATES)),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        files=lambda wildcards, input: flags(
            {name: input.get(name) or None for name in ("embeddings", "table")}
        ),
        options=planned(baselines.covariates_options),
        reading=planned(training.reading),
        people=planned(training.people),
        code=code("model.baselines.covariates"),
    message:
        "Fitting {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.baselines.covariates --stores {input.stores:q} --splits {input.splits:q}"
        " {params.reading} --people {params.people} --findings {input.findings:q} --index {input.index:q} {params.files} {params.options}"
        " --seed {wildcards.seed} --out {output.predictions} --best {output.best} --run {output.run}"


rule fit_candidates:
    """Choose and stack candidates that train no network on inner folds, score the others, and write them as one model."""
    input:
        features=planned(baselines.candidate_files),
        stores=planned(training.stores),
        splits=planned(training.splits),
        card=planned(training.cards),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/predictions.csv",
        best="results/{method}/fold{fold}/seed{seed}/best/predictions.csv",
        run="results/{method}/fold{fold}/seed{seed}/run.json",
        model="results/{method}/fold{fold}/seed{seed}/model.safetensors",
        best_model="results/{method}/fold{fold}/seed{seed}/best/model.safetensors",
        card="results/{method}/fold{fold}/seed{seed}/card.json",
        nearest="results/{method}/fold{fold}/seed{seed}/nearest.safetensors",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/candidates.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/candidates.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, STACKED)),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000, 7),
        runtime=120,
    params:
        candidates=planned(baselines.candidate_names),
        learners=planned(baselines.learners),
        folds=planned(baselines.inner_folds),
        reading=planned(training.reading),
        people=planned(training.people),
        target=planned(training.target),
        state=planned(training.setting, key="evaluation/state"),
        code=planned(baselines.candidates_code),
    message:
        "Choosing candidates of {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.baselines.auto --candidates {params.candidates} --features {input.features:q}"
        " --learners {params.learners:q} --folds {params.folds} --method {wildcards.method} --target {params.target}"
        " --state {params.state} --data-card {input.card:q} --stores {input.stores:q} --splits {input.splits:q}"
        " {params.reading} --people {params.people} --seed {wildcards.seed} --out {output.predictions} --best {output.best}"
        " --models {output.model} {output.best_model} --run {output.run} --card {output.card} --nearest {output.nearest}"


rule list_candidates:
    """Tabulate which candidates counted in which run, what they promised inside and what they cost."""
    input:
        runs=planned(training.tested_files, name="run.json"),
        result="results/{method}_auc.json",
    output:
        table="results/{method}_candidates.csv",
        markdown="results/{method}_candidates.md",
        latex="results/{method}_candidates.tex",
        page=report(
            "results/{method}_candidates.html",
            caption="../workflow/report/candidates.rst",
            category=folders["Results"],
            labels={"method": "{method}", "figure": "candidates"},
        ),
    log:
        "logs/results/{method}_candidates.log",
    benchmark:
        "benchmarks/results/{method}_candidates.tsv"
    wildcard_constraints:
        method="|".join(variants.names(config, STACKED)),
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        code=code("model.report.candidates"),
    message:
        "Tabulating the candidates of {wildcards.method}"
    shell:
        "python -m workflow.job {log} model.report.candidates --runs {input.runs} --result {input.result}"
        " --out {output.table}"
