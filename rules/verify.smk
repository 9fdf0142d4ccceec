# Whether the data can be trusted: all checks of a data set on one page, and the verdict over all of them.


rule verify_dataset:
    """Check dots, cuts, channels, slices, splits and duplicates, and show what was chosen and left out."""
    input:
        index=rules.index_raw_files.output.index,
        findings=rules.locate_findings.output.findings,
        choices=rules.locate_findings.output.choices,
        near_duplicates=rules.locate_findings.output.near_duplicates,
        slices=rules.extract_slices.output.slices,
        patches=rules.build_patches.output.patches,
        skipped=rules.list_skipped.output.skipped,
        splits=expand("<data>/{{dataset}}/splits/fold{fold}.csv", fold=range(config["split"]["n"])),
        pictures=planned(data.pictures),
        others=planned(data.files_of_others),
    output:
        page=report(
            "<data>/{dataset}/verify.html",
            caption="../workflow/report/verify.rst",
            category=folders["Data"],
            subcategory="{dataset}",
            labels={"data set": "{dataset}", "figure": "all checks"},
        ),
        table="<data>/{dataset}/verify.csv",
    log:
        "logs/data/{dataset}/verify.log",
    benchmark:
        "benchmarks/data/{dataset}/verify.tsv"
    conda:
        "../environment.yml"
    threads: 4
    resources:
        mem_mb=memory(2000),
        runtime=120,
    params:
        raw=untracked(planned(raw.folder)),
        folder=planned(data.folder),
        beside=planned(data.folders_of_others),
        folds=lookup("split/n", within=config),
        leak=data.leak(config),
        people=planned(data.people_in_checks),
        licence=planned(raw.attribution),
        code=code("pipeline.verify.__main__"),
    message:
        "Checking whether {wildcards.dataset} can be trusted"
    shell:
        "python -m workflow.job {log} pipeline.verify {params.folder:q} --raw {params.raw:q}"
        " --folds {params.folds} --leak {params.leak} --people {params.people} --licence {params.licence:q} --out {output.page:q}"
        " --table {output.table:q} --processes {threads} --exit-zero --beside {params.beside:q}"


rule list_checks:
    """Put the checks of all data sets together, whatever they found."""
    input:
        tables=expand("<data>/{dataset}/verify.csv", dataset=[*config["datasets"], *config["external"]]),
    output:
        checks="results/checks.csv",
    log:
        "logs/results/checks.log",
    benchmark:
        "benchmarks/results/checks.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        code=code("pipeline.verify.joined"),
    message:
        "Putting the checks of all data sets together"
    shell:
        "python -m workflow.job {log} pipeline.verify.joined --tables {input.tables:q} --out {output.checks:q}"
        " --exit-zero"


rule verify:
    """Whether the data of the experiment can be trusted; has no output, which a failure would delete."""
    input:
        tables=rules.list_checks.input.tables,
        checks=rules.list_checks.output.checks,
    log:
        "logs/results/verify.log",
    localrule: True
    conda:
        "../environment.yml"
    params:
        code=code("pipeline.verify.joined"),
    message:
        "Judging the checks of all data sets"
    shell:
        "python -m workflow.job {log} pipeline.verify.joined --tables {input.tables:q}"
