"""The template as a program: rendered with parameters, linted, and compared before an update."""
