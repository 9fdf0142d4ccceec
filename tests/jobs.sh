# Bash reads this before a job (BASH_ENV): its Python comes from the process that tests/warm.py keeps.
python() {
    if [ "${2-}" = workflow.job ]; then
        command python -ISE "${BASH_SOURCE[0]%/*}/ask.py" "$@"
    else
        command python "$@"
    fi
}
exec() {
    if [ "${1-}" = python ]; then
        "$@"
        exit
    else
        builtin exec "$@"
    fi
}
