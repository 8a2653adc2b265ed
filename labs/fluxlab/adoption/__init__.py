"""From drift to git: a commit on a branch of its own that has git say what the cluster says."""
