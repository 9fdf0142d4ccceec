# Pictures that need an account, and label files: checked where they lie, fetched where there is an address.


rule download_pictures:
    """Fetch the Kaggle brain pictures with the user's token, unless there are pictures."""
    input:
        planned(targets.accepted),
    output:
        checked=touch("<data>/raw/.{dataset}.pictures"),
    log:
        "logs/download/{dataset}.pictures.log",
    benchmark:
        "benchmarks/download/{dataset}.pictures.tsv"
    localrule: True  # compute nodes often have no network
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=60,
    params:
        raw=untracked(planned(raw.folder)),
        call=lambda wildcards: time.time_ns(),
        code=code("pipeline.download.kaggle"),
    message:
        "Downloading the pictures of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.download.kaggle --out {params.raw:q}"


rule download_labels:
    """Check and fetch the label files of all data sets; comes last and names all that is to be put there by hand."""
    input:
        planned(targets.accepted),
        planned(targets.images_to_download),
    output:
        checked=touch("<data>/raw/.labels"),
    log:
        "logs/download/labels.log",
    benchmark:
        "benchmarks/download/labels.tsv"
    localrule: True
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=60,
    params:
        data_sets=untracked(planned(downloads.label_flags)),
        call=lambda wildcards: time.time_ns(),
        code=code("pipeline.download.labels"),
    message:
        "Looking after the label files"
    shell:
        "python -m workflow.job {log} pipeline.download.labels {params.data_sets}"
