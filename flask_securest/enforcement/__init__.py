"""Flask is known here: verdicts are put in force at the views of an application."""
