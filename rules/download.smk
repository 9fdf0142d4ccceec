# Fetch the collections, once their licences are accepted. What is there and right stays; so these rules always run:
# each call has a value of its own in their params, as the files in output stay when a later step fails.


rule download_images:
    """Fetch the image series of a collection that the experiment needs, and check every file."""
    input:
        planned(targets.accepted),
    output:
        checked=touch("<data>/raw/.{dataset}.checked"),
    log:
        "logs/download/{dataset}.log",
    benchmark:
        "benchmarks/download/{dataset}.tsv"
    retries: 3
    localrule: True  # compute nodes often have no network
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=1440,
    params:
        kind=planned(data.kind),
        raw=untracked(planned(raw.folder)),
        options=flags(config["download"]),
        call=lambda wildcards: time.time_ns(),
        code=code("pipeline.download.images"),
    message:
        "Downloading the images of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.download.images {params.kind} --out {params.raw:q}"
        " {params.options}"


rule download:
    """Everything that can be fetched for the experiment; what it would be, as long as nobody has accepted."""
    input:
        checked=planned(targets.to_download),
    log:
        "logs/download.log",
    localrule: True
    conda:
        "../environment.yml"
    message:
        "Everything is there"
    shell:
        "rm {input.checked:q} 2> {log}"  # among the downloads lies nothing of ours but the manifest
