"""The methods that train no network, by name: without their code, for the plan."""

STACKED = ("probe_svm", "probe_knn", "radiomics", "auto")
"""Those that model.baselines.auto chooses and stacks on inner folds."""
COVARIATES = ("covariates", "probe_covariates")
"""Those that learn from columns of the user's table, alone and beside a probe."""
BASELINES = ("logistic", "probe", "adc", *COVARIATES, *STACKED)
MEASURED = ("radiomics", "intensity")
"""What can be measured of a patch without a network: the keys of model.baselines.measures."""
