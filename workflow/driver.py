def record(folder): pass
