"""From a finding's slice to its views."""
