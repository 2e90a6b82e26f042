"""From what users have to what executors read."""
