"""Exchange with other libraries; each module imports its own, and nothing else does."""
