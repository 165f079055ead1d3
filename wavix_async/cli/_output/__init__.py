"""Tables, progress and summaries for the terminal."""
