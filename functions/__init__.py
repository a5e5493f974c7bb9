"""One folder per Lambda function, each readable alone."""
