"""Files and their formats: written whole or not at all, read without trust. None knows models."""
