"""Market data into the store: files, uploads and exchanges."""
