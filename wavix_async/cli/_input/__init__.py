"""Options and files into changes."""
