"""Bytes over HTTP: resumable downloads, ranges, multipart forms, progress."""
