"""Accounts at the doubles of Google's services."""

from __future__ import annotations

from peers.oauth import CLIENT_ID, CLIENT_SECRET

from vidd.integrations.google.account import GoogleAccount


def signed_in(service, certificate, *, refresh_token=None, model=GoogleAccount, **changes):
    """A person's account at a double that has `oauth`."""
    return model(
        **{
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": refresh_token or service.oauth.sign_in(),
            "token_url": f"{service.url}/token",
            "ca": certificate.file,
            **changes,
        }
    )
