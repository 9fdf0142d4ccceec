"""What the papers print and publish: numbers and tables beside ours, logs as histories of ours."""
