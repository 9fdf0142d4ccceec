# The papers' tables with ours beside theirs, and the runs that were published, as histories of ours.


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
