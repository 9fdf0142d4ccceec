# What the results were made with, what that took, and what to cite.


rule list_software:
    """Write down what the results were made with: commit, Python, packages as locked and as installed."""
    input:
        results=targets.tested(config),
    output:
        page=report(
            "results/software.html",
            caption="../workflow/report/software.rst",
            category=folders["Provenance"],
            labels={"figure": "software"},
        ),
    log:
        "logs/results/software.log",
    benchmark:
        "benchmarks/results/software.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        lock=lambda wildcards: sha256(Path(ROOT, "requirements.lock")),
        code=code("workflow.software"),
    message:
        "Listing the software"
    shell:
        "python -m workflow.job {log} workflow.software --results {input.results} --out {output.page}"


rule tabulate_costs:
    """Sum up run times and memory of all jobs by rule."""
    input:
        rules.figures.input,
        targets.results(config),
        targets.comparison(config),
    output:
        csv="results/costs.csv",
        markdown="results/costs.md",
        latex="results/costs.tex",
        page=report(
            "results/costs.html",
            caption="../workflow/report/costs.rst",
            category=folders["Provenance"],
            labels={"figure": "run times and memory, table"},
        ),
        picture=report(
            "results/costs.png",
            caption="../workflow/report/costs.rst",
            category=folders["Provenance"],
            labels={"figure": "run times and memory"},
        ),
    log:
        "logs/results/costs.log",
    benchmark:
        "benchmarks/results/costs.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        rules=lambda wildcards: json.dumps(
            # Without the methods that there are, which may grow.
            {rule.name: strip_wildcard_constraints(rule.log[0]) for rule in workflow.rules if rule.log}
        ),
        code=code("workflow.costs"),
    message:
        "Summing up run times and memory"
    shell:
        "python -m workflow.job {log} workflow.costs --logs logs --rules {params.rules:q}"
        " --out {output.csv} --picture {output.picture}"


rule write_citations:
    """List the data sets of the experiment with licence and DOI, the papers of its methods, and this software."""
    output:
        markdown="results/cite.md",
        bibtex="results/cite.bib",
        page=report(
            "results/cite.html",
            caption="../workflow/report/cite.rst",
            category=folders["Provenance"],
            labels={"figure": "licences and citations"},
        ),
    log:
        "logs/results/cite.log",
    benchmark:
        "benchmarks/results/cite.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        terms=planned(targets.terms),
        about=planned(targets.cited),
        weights=planned(targets.weights),
        code=code("workflow.cite"),
    message:
        "Listing what to cite"
    shell:
        "python -m workflow.job {log} workflow.cite --data-sets {params.terms:q} --about {params.about:q}"
        " --weights {params.weights:q}"
        " --markdown {output.markdown:q} --bibtex {output.bibtex:q} --out {output.page:q}"


rule cite:
    """What to cite, as text and as BibTeX."""
    input:
        rules.write_citations.output,


with ending():  # read last, so that all rules are known
    asked.check(config, workflow.rules)
