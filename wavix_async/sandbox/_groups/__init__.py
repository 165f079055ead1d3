"""What the sandbox knows of each group of operations."""
