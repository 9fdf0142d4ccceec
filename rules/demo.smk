# Raw data that the workflow writes itself, where the config says `phantom`. Nothing else knows about it.


rule write_phantom:
    """Write small synthetic raw data in the exact layout of a collection."""
    input:
        planned(data.room_for_phantom),
    output:
        raw=directory("<data>/raw/{dataset}"),
    log:
        "logs/data/{dataset}/phantom.log",
    benchmark:
        "benchmarks/data/{dataset}/phantom.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        kind=planned(data.kind),
        patients=lookup("phantom/patients", within=config, default=24),
        seed=lookup("phantom/seed", within=config, default=0),
        test=lookup("phantom/test", within=config, default=0),
        code=code("pipeline.phantom"),
    message:
        "Writing synthetic raw data of {wildcards.dataset}"
    shell:
        "python -m workflow.job {log} pipeline.phantom {params.kind} --out {output.raw:q}"
        " --patients {params.patients} --seed {params.seed} --test {params.test}"
