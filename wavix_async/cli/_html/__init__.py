"""Pages that show a plan or a run."""
