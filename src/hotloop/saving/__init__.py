"""Writing models to files and reading them back."""
