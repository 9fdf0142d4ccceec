"""From a list of phases to a model file: batches, steps, schedules, validations, checkpoints."""
