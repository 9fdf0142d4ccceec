# What whoever publishes a result has to cite, on demand: ./run cite.


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
        code=code("workflow.cite"),
    message:
        "Listing what to cite"
    shell:
        "python -m workflow.job {log} workflow.cite --data-sets {params.terms:q} --about {params.about:q}"
        " --markdown {output.markdown:q} --bibtex {output.bibtex:q} --out {output.page:q}"


rule cite:
    """What to cite, as text and as BibTeX."""
    input:
        rules.write_citations.output,
