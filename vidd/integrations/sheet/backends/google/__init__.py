"""Sheets in Google Sheets."""
