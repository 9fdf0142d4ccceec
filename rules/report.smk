# Items of the report: how the data look, how training went, what came out.


rule draw_contact_sheet:
    """Show a data set: patches of each class, where the findings lie, whether stacked channels hold the same tissue."""
    input:
        patches=rules.build_patches.output.patches,
        findings=rules.locate_findings.output.findings,
        slices=rules.extract_slices.output.slices,
    output:
        picture=report(
            "<data>/{dataset}/contact_sheet.png",
            caption="../workflow/report/contact_sheet.rst",
            category=folders["Data"],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "contact sheet"},
        ),
    log:
        "logs/data/{dataset}/contact_sheet.log",
    benchmark:
        "benchmarks/data/{dataset}/contact_sheet.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        kind="contact-sheet",
        licence=planned(raw.attribution),
        code=code("pipeline.report.contact_sheet"),
    message:
        "Drawing the patches of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.report.contact_sheet {params.kind} --store {input.patches:q}"
        " --findings {input.findings:q} --slices {input.slices:q} --licence {params.licence:q}"
        " --out {output.picture:q}"


use rule draw_contact_sheet as draw_red_dots with:
    output:
        picture=report(
            "<data>/{dataset}/red_dots.png",
            caption="../workflow/report/red_dots.rst",
            category=folders["Data"],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "red dots"},
        ),
    log:
        "logs/data/{dataset}/red_dots.log",
    benchmark:
        "benchmarks/data/{dataset}/red_dots.tsv"
    params:
        kind="red-dots",
    message:
        "Drawing where the findings of {wildcards.dataset} lie"


use rule draw_contact_sheet as draw_alignment with:
    output:
        picture=report(
            "<data>/{dataset}/alignment.png",
            caption="../workflow/report/alignment.rst",
            category=folders["Data"],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "alignment"},
        ),
    log:
        "logs/data/{dataset}/alignment.log",
    benchmark:
        "benchmarks/data/{dataset}/alignment.tsv"
    params:
        kind="alignment",
    message:
        "Drawing the channels of {wildcards.dataset}"


rule draw_embeddings:
    """Map the findings of a data set by what a fixed network sees in them, coloured by class, group and scanner."""
    input:
        embeddings="<data>/{dataset}/embeddings/{encoder}.h5",
        patches=rules.build_patches.output.patches,
        findings=rules.locate_findings.output.findings,
        index=rules.index_raw_files.output.index,
    output:
        picture=report(
            "<data>/{dataset}/embeddings/{encoder}.png",
            caption="../workflow/report/embeddings.rst",
            category=folders["Data"],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "as {encoder} sees it"},
        ),
    log:
        "logs/data/{dataset}/embeddings/{encoder}_map.log",
    benchmark:
        "benchmarks/data/{dataset}/embeddings/{encoder}_map.tsv"
    wildcard_constraints:
        encoder="|".join(baselines.fixed_encoders(config)),
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000, 4),
        runtime=30,
    params:
        code=code("model.report.embedding_map"),
    message:
        "Mapping {wildcards.dataset} as {wildcards.encoder} sees it"
    shell:
        "python -m workflow.job {log} model.report.embedding_map --embeddings {input.embeddings:q}"
        " --store {input.patches:q} --findings {input.findings:q} --index {input.index:q} --out {output.picture:q}"


rule draw_saliency:
    """Show on what parts of some test findings the score of a method's first run depends."""
    input:
        model=planned(training.first_run, name="model.safetensors", of_state=True),
        card=planned(training.first_run, name="card.json"),
        predictions=planned(training.first_run, name="predictions.csv", of_state=True),
        patches=f"<data>/{config['target']}/patches.h5",
    output:
        picture=report(
            "results/{method}/saliency.png",
            caption="../workflow/report/saliency.rst",
            category=folders["Results"],
            labels={"method": "{method}", "figure": "saliency"},
        ),
    log:
        "logs/results/{method}/saliency.log",
    benchmark:
        "benchmarks/results/{method}/saliency.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        run=planned(training.first_run),
        code=planned(baselines.model_code, module="model.report.saliency"),
    message:
        "Drawing what {wildcards.method} goes by"
    shell:
        "python -m workflow.job {log} model.report.saliency --run {params.run} --store {input.patches:q}"
        " --out {output.picture}"


rule fingerprint_dataset:
    """Sum up a data set: spacings, scanners, intensities, classes, and what each step left out."""
    input:
        index=rules.index_raw_files.output.index,
        findings=rules.locate_findings.output.findings,
        choices=rules.locate_findings.output.choices,
        slices=rules.extract_slices.output.slices,
        patches=rules.build_patches.output.patches,
        skipped=rules.list_skipped.output.skipped,
    output:
        table="<data>/{dataset}/fingerprint.csv",
        picture=report(
            "<data>/{dataset}/fingerprint.png",
            caption="../workflow/report/fingerprint.rst",
            category=folders["Data"],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "fingerprint"},
        ),
    log:
        "logs/data/{dataset}/fingerprint.log",
    benchmark:
        "benchmarks/data/{dataset}/fingerprint.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        code=code("pipeline.report.fingerprint"),
    message:
        "Taking the fingerprint of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.report.fingerprint --index {input.index:q}"
        " --findings {input.findings:q} --choices {input.choices:q} --slices {input.slices:q}"
        " --store {input.patches:q} --skipped {input.skipped:q} --out {output.table:q}"
        " --picture {output.picture:q}"


rule draw_bootstrap:
    """Show the scores of all random networks of a run."""
    input:
        scores=rules.bootstrap_network.output.scores,
    output:
        picture=report(
            "results/{method}/fold{fold}/seed{seed}/bootstrap/scores.png",
            caption="../workflow/report/bootstrap.rst",
            category=folders["Training"],
            subcategory="{method}",
            labels={"method": "{method}", "fold": "{fold}", "seed": "{seed}", "figure": "bootstrap"},
        ),
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/bootstrap/scores.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/bootstrap/scores.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        code=code("model.report.plots"),
    message:
        "Drawing the candidates of {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.report.plots bootstrap --scores {input.scores} --out {output.picture}"


use rule draw_bootstrap as draw_shared_bootstrap with:
    input:
        scores=rules.bootstrap_shared.output.scores,
    output:
        picture=report(
            "results/bootstrap/fold{fold}/seed{seed}/scores.png",
            caption="../workflow/report/bootstrap.rst",
            category=folders["Training"],
            subcategory="all methods",
            labels={"method": "all methods", "fold": "{fold}", "seed": "{seed}", "figure": "bootstrap"},
        ),
    log:
        "logs/results/bootstrap/fold{fold}/seed{seed}/scores.log",
    benchmark:
        "benchmarks/results/bootstrap/fold{fold}/seed{seed}/scores.tsv"
    message:
        "Drawing the candidates of all methods, fold {wildcards.fold}, seed {wildcards.seed}"


rule draw_curves:
    """Show loss and metrics of all runs of a method over training."""
    input:
        history=planned(training.files, name="history.csv"),
    output:
        picture=report(
            "results/{method}/curves.png",
            caption="../workflow/report/curves.rst",
            category=folders["Training"],
            subcategory="{method}",
            labels={"method": "{method}", "fold": "(all)", "seed": "(all)", "figure": "learning curves"},
        ),
    log:
        "logs/results/{method}/curves.log",
    benchmark:
        "benchmarks/results/{method}/curves.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=10,
    params:
        code=code("model.report.plots"),
    message:
        "Drawing the learning curves of {wildcards.method}"
    shell:
        "python -m workflow.job {log} model.report.plots curves --history {input.history} --out {output.picture}"


rule draw_rates:
    """Show how the highest learning rate of a method was found."""
    input:
        runs=planned(training.files, name="run.json"),
    output:
        picture=report(
            "results/{method}/rates.png",
            caption="../workflow/report/rates.rst",
            category=folders["Training"],
            subcategory="{method}",
            labels={
                "method": "{method}",
                "fold": "(all)",
                "seed": "(all)",
                "figure": "highest learning rate",
            },
        ),
    log:
        "logs/results/{method}/rates.log",
    benchmark:
        "benchmarks/results/{method}/rates.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1500),
        runtime=10,
    params:
        code=code("model.report.rates"),
    message:
        "Drawing how the rate of {wildcards.method} was found"
    shell:
        "python -m workflow.job {log} model.report.rates --runs {input.runs} --out {output.picture}"


rule draw_gradients:
    """Show how the gradients flow through the layers at the recorded steps of a run."""
    input:
        gradients=rules.train_model.output.gradients,
    output:
        picture=report(
            "results/{method}/fold{fold}/seed{seed}/gradients.png",
            caption="../workflow/report/gradients.rst",
            category=folders["Training"],
            subcategory="{method}",
            labels={"method": "{method}", "fold": "{fold}", "seed": "{seed}", "figure": "gradient flow"},
        ),
    log:
        "logs/results/{method}/fold{fold}/seed{seed}/gradients.log",
    benchmark:
        "benchmarks/results/{method}/fold{fold}/seed{seed}/gradients.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=10,
    params:
        code=code("model.report.gradients"),
    message:
        "Drawing the gradients of {wildcards.method}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m workflow.job {log} model.report.gradients --gradients {input.gradients}"
        " --out {output.picture}"


rule draw_roc:
    """Show the ROC curve of the target's test findings, per run and on average."""
    input:
        result=rules.score_method.output.result,
        predictions=rules.score_method.input.predictions,
        best=rules.score_method.input.best,
    output:
        picture=report(
            "results/{method}/roc.png",
            caption="../workflow/report/roc.rst",
            category=folders["Results"],
            labels={"method": "{method}", "figure": "ROC"},
        ),
    log:
        "logs/results/{method}/roc.log",
    benchmark:
        "benchmarks/results/{method}/roc.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=10,
    params:
        runs=rules.score_method.params.runs,
        code=code("model.report.plots"),
    message:
        "Drawing the ROC curve of {wildcards.method}"
    shell:
        "python -m workflow.job {log} model.report.plots roc --figures {input.result} --runs {params.runs}"
        " --out {output.picture}"


rule tabulate_results:
    """Put the results of all methods, with their intervals, on one page."""
    input:
        results=expand("results/{method}_auc.json", method=config["methods"]),
    output:
        page=report(
            "results/overview.html",
            caption="../workflow/report/overview.rst",
            category=folders["Results"],
            labels={"method": "(all)", "figure": "AUROC and intervals"},
        ),
    log:
        "logs/results/overview.log",
    benchmark:
        "benchmarks/results/overview.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        code=code("model.report.overview"),
    message:
        "Tabulating the results"
    shell:
        "python -m workflow.job {log} model.report.overview --results {input.results} --out {output.page}"


rule figures:
    """All items of the report, but for what the run cost."""
    input:
        targets.figures(config),
