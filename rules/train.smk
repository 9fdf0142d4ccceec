# One run per method, fold and seed. One thread each, because the number of threads changes the last bits;
# folds and seeds run side by side. gpu=0 means the CPU, gpu=1 CUDA if there is one, else the CPU.
# exec, because a cluster that takes a job back asks all its processes to end: the shell would do so at once, and
# the trainer be killed before it has saved.


rule bootstrap_network:
    """Score random networks on all data sets and keep the one that training starts from."""
    input:
        stores=planned(training.stores),
        splits=planned(training.splits),
        weights=planned(start.weights_files),
    output:
        network="results/{method}/fold{fold}/seed{seed}/bootstrap/network.safetensors",
        scores="results/{method}/fold{fold}/seed{seed}/bootstrap/scores.csv",
        seen="results/{method}/fold{fold}/seed{seed}/bootstrap/seen.json",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/bootstrap.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/bootstrap.tsv"
    wildcard_constraints:
        method="|".join(variants.networks(config)),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(1500, 1.5),
        runtime=600,
    params:
        reading=planned(training.reading),
        people=planned(training.people),
        scored=planned(start.scored_datasets),
        network=planned(training.setting, key="network"),
        weights=planned(start.weights),
        candidates=planned(start.random_networks),
        views=planned(training.setting, key="bootstrap/views"),
        rule=planned(training.setting, key="bootstrap/rule"),
        search=planned(training.setting, key="bootstrap/search"),
        batch_norm=planned(training.setting, key="bootstrap/batch_norm"),
        data=planned(training.setting, key="bootstrap/data"),
        initialization=planned(training.setting, key="bootstrap/initialization"),
        checkpoint="checkpoints/{method}/fold{fold}/seed{seed}",
        code=planned(training.code_of, module="model.bootstrap.guess"),
    message:
        "Guessing a start for {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "exec python -m workflow.job {log} model.bootstrap.guess --stores {input.stores:q} --splits {input.splits:q} {params.reading} --people {params.people}"
        " --score {params.scored} --network {params.network:q} --weights {params.weights:q}"
        " --seed {wildcards.seed} --candidates {params.candidates} --views {params.views}"
        " --rule {params.rule} --search {params.search} --batch-norm {params.batch_norm} --data {params.data}"
        " --initialization {params.initialization}"
        " --gpu {resources.gpu} --checkpoint {params.checkpoint} --out {output.network} --scores {output.scores}"
        " --seen {output.seen}"


use rule bootstrap_network as bootstrap_shared with:
    input:
        stores=planned(start.shared_stores),
        splits=planned(start.shared_splits),
        weights=planned(start.shared_weights_files),
    output:
        network="results/bootstrap/fold{fold}/seed{seed}/network.safetensors",
        scores="results/bootstrap/fold{fold}/seed{seed}/scores.csv",
        seen="results/bootstrap/fold{fold}/seed{seed}/seen.json",
    log:
        "logs/results/bootstrap/fold{fold}/seed{seed}/bootstrap.log",
    benchmark:
        "benchmarks/results/bootstrap/fold{fold}/seed{seed}/bootstrap.tsv"
    params:
        reading=start.shared_reading(config),
        people=planned(start.shared_people),
        scored=planned(start.shared_datasets),
        network=lookup("network", within=config),
        weights=planned(start.shared_weights),
        candidates=lookup("bootstrap/candidates", within=config),
        views=lookup("bootstrap/views", within=config),
        rule=lookup("bootstrap/rule", within=config),
        search=lookup("bootstrap/search", within=config),
        batch_norm=lookup("bootstrap/batch_norm", within=config),
        data=lookup("bootstrap/data", within=config),
        initialization=lookup("bootstrap/initialization", within=config),
        checkpoint="checkpoints/bootstrap/fold{fold}/seed{seed}",
        code=start.shared_code(config),
    message:
        "Guessing a start for all methods, fold {wildcards.fold}, seed {wildcards.seed}"


rule train_model:
    """Run the phases of a method; an interrupted run goes on where it was."""
    input:
        stores=planned(training.stores),
        splits=planned(training.splits),
        network=planned(start.start),
        seen=planned(start.seen),
    output:
        model="results/{method}/fold{fold}/seed{seed}/model.safetensors",
        best="results/{method}/fold{fold}/seed{seed}/best/model.safetensors",
        history="results/{method}/fold{fold}/seed{seed}/history.csv",
        gradients="results/{method}/fold{fold}/seed{seed}/gradients.csv",
        run="results/{method}/fold{fold}/seed{seed}/run.json",
        seen="results/{method}/fold{fold}/seed{seed}/seen.json",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/model.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/model.tsv"
    wildcard_constraints:
        method="|".join(variants.networks(config)),
    priority: 1
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(1500, 1.5),
        runtime=2880,
    params:
        reading=planned(training.reading),
        people=planned(training.people),
        phases=planned(training.phases_as_json),
        target=planned(training.target),
        batch_norm=planned(training.setting, key="evaluation/batch_norm"),
        every=planned(training.setting, key="evaluation/every"),
        follow=planned(training.follow),
        record=planned(training.setting, key="evaluation/gradients"),
        paper=planned(training.setting_flags, key="training"),
        balance=lookup("balance", within=config),
        precision=planned(training.setting, key="precision"),
        checkpoint="checkpoints/{method}/fold{fold}/seed{seed}",
        code=planned(training.code_of, module="model.training.train"),
    message:
        "Training {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "exec python -m workflow.job {log} model.training.train --stores {input.stores:q} --splits {input.splits:q} {params.reading} --people {params.people}"
        " --network {input.network} --phases {params.phases:q} --seed {wildcards.seed}"
        " --target {params.target} --batch-norm {params.batch_norm} --every {params.every}"
        " {params.follow} {params.paper}"
        " --balance {params.balance} --precision {params.precision} --gpu {resources.gpu} --checkpoint {params.checkpoint}"
        " --out {output.model} --best {output.best} --history {output.history}"
        " --gradients {output.gradients} --record {params.record:q} --run {output.run}"
        " --seen {output.seen}"


rule predict_findings:
    """Score every view of the validation and test findings with the last and the best state of a run.

    The card beside them holds what a prediction for a new case needs besides the model.
    """
    input:
        stores=planned(training.stores),
        splits=planned(training.splits),
        model=rules.train_model.output.model,
        best=rules.train_model.output.best,
        cards=planned(training.cards),
    output:
        predictions="results/{method}/fold{fold}/seed{seed}/predictions.csv",
        best="results/{method}/fold{fold}/seed{seed}/best/predictions.csv",
        card="results/{method}/fold{fold}/seed{seed}/card.json",
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/predictions.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/predictions.tsv"
    wildcard_constraints:
        method="|".join(variants.networks(config)),
    priority: 2  # before the next training: what is stopped then has the scores of all that it trained
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(1500, 1.5),
        runtime=60,
    params:
        reading=planned(training.reading),
        people=planned(training.people),
        target=planned(training.target),
        state=planned(training.setting, key="evaluation/state"),
        code=planned(training.code_of, module="model.inference.score_views"),
    message:
        "Scoring the findings of {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.inference.score_views --stores {input.stores:q} --splits {input.splits:q} {params.reading} --people {params.people}"
        " --model {input.model} {input.best} --gpu {resources.gpu}"
        " --out {output.predictions} {output.best} --cards {input.cards:q} --method {wildcards.method}"
        " --target {params.target} --state {params.state} --card {output.card}"


rule score_method:
    """Take all runs of a method together: AUROC per finding, with its intervals."""
    input:
        predictions=planned(training.tested_files, name="predictions.csv"),
        best=planned(training.tested_files, name="best/predictions.csv"),
        facts=planned(training.files, name="run.json"),
        splits=planned(training.splits_of_all_folds),
    output:
        result="results/{method}_auc.json",
    log:
        "logs/results/{method}_auc.log",
    benchmark:
        "benchmarks/results/{method}_auc.tsv"
    priority: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        target=planned(training.target),
        runs=planned(training.folders),
        benchmarks=planned(start.start_benchmarks),
        state=planned(training.setting, key="evaluation/state"),
        code=code("model.evaluation.score"),
    message:
        "Scoring {wildcards.method}"
    shell:
        "python -m workflow.job {log} model.evaluation.score --method {wildcards.method} --target {params.target}"
        " --runs {params.runs} --splits {input.splits:q} --benchmarks {params.benchmarks}"
        " --state {params.state} --out {output.result}"


rule write_tensorboard:
    """Write the learning curves as TensorBoard events: tensorboard --logdir results."""
    input:
        history=rules.train_model.output.history,
    output:
        events=directory("results/{method}/fold{fold}/seed{seed}/tensorboard"),
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/tensorboard.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/tensorboard.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        code=code("model.report.tensorboard"),
    message:
        "Writing the events of {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.report.tensorboard --history {input.history} --out {output.events}"
