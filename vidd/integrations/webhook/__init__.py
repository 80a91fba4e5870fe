"""Webhooks, Slack and Matrix."""
