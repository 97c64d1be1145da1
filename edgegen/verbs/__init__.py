"""The verbs of the command line: each parses and prints, and imports what does the job when it runs."""
