"""The search index: change -> document, written under the guard of external versions."""
