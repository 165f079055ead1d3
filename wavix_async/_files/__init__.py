"""Number rows in files: what `fleet`, `cli` and the job router read, check and lock alike."""
