# From raw downloads to patch stores and splits: one job per data set and step, with a process pool inside.


rule index_raw_files:
    """Read the header of every new or changed image file once."""
    input:
        planned(data.raw_data),
    output:
        index=update("<data>/{dataset}/index.parquet"),
        files=update("<data>/{dataset}/files.parquet"),
        skipped="<data>/{dataset}/skipped/index.csv",
        state="<data>/{dataset}/raw.txt",
    log:
        "logs/data/{dataset}/index.log",
    benchmark:
        "benchmarks/data/{dataset}/index.tsv"
    priority: 1
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        raw=untracked(planned(raw.folder)),
        tree=planned(raw.state),
        code=code("pipeline.readers.index"),
    message:
        "Indexing the files of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.readers.index --raw {params.raw:q} --out {output.index:q}"
        " --files {output.files:q} --skipped {output.skipped:q} --processes {threads}"
        " && echo {params.tree} > {output.state:q}"


rule locate_findings:
    """Find which series, slice and point each finding lies in."""
    input:
        index=rules.index_raw_files.output.index,
        files=rules.index_raw_files.output.files,
    output:
        findings="<data>/{dataset}/findings.csv",
        skipped="<data>/{dataset}/skipped/findings.csv",
        choices="<data>/{dataset}/choices.csv",
        near_duplicates="<data>/{dataset}/near_duplicates.csv",
    log:
        "logs/data/{dataset}/findings.log",
    benchmark:
        "benchmarks/data/{dataset}/findings.tsv"
    priority: 1
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        kind=planned(data.kind),
        raw=untracked(planned(raw.folder)),
        options=planned(data.own_options),
        compare=planned(data.comparing),
        code=planned(data.code_of, module="pipeline.findings"),
    message:
        "Locating the findings of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.findings {params.kind} --dataset {wildcards.dataset}"
        " --raw {params.raw:q} --index {input.index:q} --out {output.findings:q} --skipped {output.skipped:q}"
        " --choices {output.choices:q}"
        " --near-duplicates {output.near_duplicates:q} --processes {threads} {params.compare} {params.options}"


rule extract_slices:
    """Read the slice of each finding once, in physical units."""
    input:
        index=rules.index_raw_files.output.index,
        files=rules.index_raw_files.output.files,
        findings=rules.locate_findings.output.findings,
    output:
        slices="<data>/{dataset}/slices.h5",
        skipped="<data>/{dataset}/skipped/slices.csv",
    log:
        "logs/data/{dataset}/slices.log",
    benchmark:
        "benchmarks/data/{dataset}/slices.tsv"
    priority: 1
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        kind=planned(data.kind),
        raw=untracked(planned(raw.folder)),
        options=planned(data.options, keys=("window", "intensity", "width")),
        code=code("pipeline.patches.slices"),
    message:
        "Extracting the slices of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.patches.slices {params.kind} --raw {params.raw:q}"
        " --index {input.index:q} --findings {input.findings:q} --out {output.slices:q}"
        " --skipped {output.skipped:q} --processes {threads} {params.options}"


rule build_patches:
    """Cut all views of each finding, with one resampling per view."""
    input:
        findings=rules.locate_findings.output.findings,
        slices=rules.extract_slices.output.slices,
    output:
        patches="<data>/{dataset}/patches.h5",
        skipped="<data>/{dataset}/skipped/patches.csv",
    log:
        "logs/data/{dataset}/patches.log",
    benchmark:
        "benchmarks/data/{dataset}/patches.tsv"
    priority: 1
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=120,
    params:
        kind=planned(data.kind),
        options=planned(data.options, keys=("channels", "extent", "intensity")),
        classes=planned(data.class_names),
        side=lookup("patch", within=config),
        views=planned(data.stored_views),
        view_seed=lookup("view_seed", within=config),
        augmentation=lookup("augmentation", within=config),
        online=planned(data.online),
        collection=untracked(planned(data.terms)),
        code=planned(data.code_of, module="pipeline.patches.cut"),
    message:
        "Cutting the views of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.patches.cut {params.kind} --dataset {wildcards.dataset}"
        " --findings {input.findings:q} --slices {input.slices:q} --out {output.patches:q}"
        " --skipped {output.skipped:q} --side {params.side} --views {params.views} --view-seed {params.view_seed}"
        " --augmentation {params.augmentation} --collection {params.collection:q} --processes {threads}"
        " {params.options} {params.classes} {params.online}"


rule list_skipped:
    """Put together what each step left out, and why."""
    input:
        tables=expand(
            "<data>/{{dataset}}/skipped/{step}.csv", step=["index", "findings", "slices", "patches"]
        ),
    output:
        skipped="<data>/{dataset}/skipped.csv",
    log:
        "logs/data/{dataset}/skipped.log",
    benchmark:
        "benchmarks/data/{dataset}/skipped.tsv"
    priority: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=planned(data.options, keys=("exclude",)),
        code=code("pipeline.skipped"),
    message:
        "Listing what was left out of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.skipped --tables {input.tables:q} --out {output.skipped:q}"
        " {params.options}"


rule split_findings:
    """Part the groups into training, validation and test, and check that nothing leaks."""
    input:
        patches=rules.build_patches.output.patches,
        beside=planned(data.same_people),
        skipped=rules.list_skipped.output.skipped,
    output:
        split="<data>/{dataset}/splits/fold{fold}.csv",
    log:
        "logs/data/{dataset}/splits/fold{fold}.log",
    benchmark:
        "benchmarks/data/{dataset}/splits/fold{fold}.tsv"
    priority: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        options=planned(data.options, keys=("training_views", "max_skipped")),
        kind=lookup("split/kind", within=config),
        n=lookup("split/n", within=config),
        evaluation=lookup("split/evaluation", within=config),
        validation=lookup("split/validation", within=config),
        test=lookup("split/test", within=config),
        seed=lookup("split/seed", within=config),
        majority_views=lookup("majority_views", within=config),
        evaluation_views=lookup("evaluation_views", within=config),
        balance=lookup("balance", within=config),
        code=code("pipeline.splits.split"),
    message:
        "Splitting {wildcards.dataset}, fold {wildcards.fold}"
    shell:
        "python -m workflow.job {log} pipeline.splits.split --store {input.patches:q} --skipped {input.skipped:q}"
        " --beside {input.beside:q}"
        " {params.options} --kind {params.kind} --n {params.n} --evaluation {params.evaluation} --validation {params.validation}"
        " --test {params.test} --seed {params.seed} --fold {wildcards.fold}"
        " --majority-views {params.majority_views} --evaluation-views {params.evaluation_views}"
        " --balance {params.balance} --out {output.split:q}"


rule write_card:
    """Say how a data set was cut and what its training findings are like, for predictions of new cases."""
    input:
        index=rules.index_raw_files.output.index,
        findings=rules.locate_findings.output.findings,
        slices=rules.extract_slices.output.slices,
        patches=rules.build_patches.output.patches,
        split=rules.split_findings.output.split,
    output:
        card="<data>/{dataset}/cards/fold{fold}.json",
    log:
        "logs/data/{dataset}/cards/fold{fold}.log",
    benchmark:
        "benchmarks/data/{dataset}/cards/fold{fold}.tsv"
    priority: 2  # a second, and the scoring of each run waits for it
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        kind=planned(data.kind),
        options=planned(data.options, keys=("window", "slice_rule", "axis", "width", "mask_extent")),
        views=lookup("evaluation_views", within=config),
        code=planned(data.code_of, module="pipeline.card"),
    message:
        "Writing the card of {wildcards.dataset}, fold {wildcards.fold}"
    shell:
        "python -m workflow.job {log} pipeline.card {params.kind} --index {input.index:q}"
        " --findings {input.findings:q} --slices {input.slices:q} --store {input.patches:q} --split {input.split:q}"
        " --views {params.views} {params.options} --out {output.card:q}"
