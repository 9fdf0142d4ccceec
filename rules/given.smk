# Splits that a column of the user's table, or lists of a collection, tell: in place of those that are drawn.

if data.is_told(config):

    ruleorder: split_as_given > split_findings

    rule split_as_given:
        """Part the findings as a column of the table or official lists say, and check that nothing leaks."""
        input:
            patches=rules.build_patches.output.patches,
            beside=planned(data.same_people),
            index=rules.index_raw_files.output.index,
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
            column=planned(data.split_column),
            raw=untracked(planned(raw.folder)),
            kind=lookup("split/kind", within=config),
            n=lookup("split/n", within=config),
            evaluation=lookup("split/evaluation", within=config),
            validation=lookup("split/validation", within=config),
            test=lookup("split/test", within=config),
            seed=lookup("split/seed", within=config),
            majority_views=lookup("majority_views", within=config),
            evaluation_views=lookup("evaluation_views", within=config),
            balance=lookup("balance", within=config),
            code=planned(data.code_of, module="pipeline.splits.given"),
        message:
            "Splitting {wildcards.dataset} by what is given, fold {wildcards.fold}"
        shell:
            "python -m workflow.job {log} pipeline.splits.given --store {input.patches:q} --skipped {input.skipped:q}"
            " --beside {input.beside:q} --raw {params.raw:q} --index {input.index:q} {params.column}"
            " {params.options} --kind {params.kind} --n {params.n} --evaluation {params.evaluation} --validation {params.validation}"
            " --test {params.test} --seed {params.seed} --fold {wildcards.fold}"
            " --majority-views {params.majority_views} --evaluation-views {params.evaluation_views}"
            " --balance {params.balance} --out {output.split:q}"
