"""What everything else stands on: checks of arguments, logs, and the like."""
