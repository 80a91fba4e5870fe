"""Google's token endpoint: refresh tokens (RFC 6749, 6) and signed assertions (RFC 7523), each checked as strictly as said there.

`OAuth` is the desk other doubles share: they add its route and ask it about every token they are shown.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from peers.service import Service

YOUTUBE = "https://www.googleapis.com/auth/youtube"
FORCE_SSL = "https://www.googleapis.com/auth/youtube.force-ssl"
UPLOAD = "https://www.googleapis.com/auth/youtube.upload"
SHEETS = "https://www.googleapis.com/auth/spreadsheets"

CLIENT_ID, CLIENT_SECRET = "client-1.example", "GOCSPX-not-a-real-secret"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True)
class Grant:
    """Whom an access token stands for; `subject` is the refresh token's owner or the service account's address."""

    subject: str
    scopes: frozenset[str]
    until: float


class OAuth:
    """Set `lifetime` (seconds), `now` (the time tokens are judged by) and call `revoke`, `forget`; read `given`, `refused`."""

    def __init__(self) -> None:
        self.lifetime = 3600
        self.now: Callable[[], float] = time.time
        self.given: list[Grant] = []
        self.refused: list[str] = []
        self._people: dict[str, tuple[str, frozenset[str]]] = {}
        self._machines: dict[str, tuple[rsa.RSAPublicKey, frozenset[str]]] = {}
        self._tokens: dict[str, Grant] = {}
        self._lock = threading.RLock()

    def sign_in(self, subject: str = "somebody", scopes: tuple[str, ...] = (YOUTUBE, FORCE_SSL, UPLOAD)) -> str:
        """A person signs in; the refresh token."""
        token = f"1//refresh-{subject}-{len(self._people)}"
        self._people[token] = (subject, frozenset(scopes))
        return token

    def add_service_account(self, token_url: str, email: str = "robot@project.example", scopes=(SHEETS,)) -> str:
        """A service account; its key as the JSON file Google gives."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._machines[email] = (key.public_key(), frozenset(scopes))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "project",
                "private_key_id": "k1",
                "private_key": pem,
                "client_email": email,
                "client_id": "1",
                "token_uri": token_url,
            }
        )

    def revoke(self, who: str) -> None:
        """Take a refresh token, or a service account, away, and every token it was given."""
        subject = self._people.pop(who, (who, None))[0]
        self._machines.pop(who, None)
        with self._lock:
            self._tokens = {token: given for token, given in self._tokens.items() if given.subject != subject}

    def forget(self) -> None:
        """Turn down every access token given so far."""
        with self._lock:
            self._tokens.clear()

    def grant(self, authorization: str | None) -> Grant | None:
        """What an Authorization header stands for now; None where it stands for nothing."""
        kind, _, token = (authorization or "").partition(" ")
        found = self._tokens.get(token) if kind == "Bearer" else None
        return found if found is not None and found.until > self.now() else None

    def valid(self, token: str, *scopes: str) -> bool:
        """Whether a token holds now, for one of these scopes at least."""
        found = self.grant(f"Bearer {token}")
        return found is not None and bool(found.scopes.intersection(scopes))

    def add_routes(self, app: web.Application) -> None:
        """POST /token."""
        app.router.add_post("/token", self._token)

    async def _token(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-www-form-urlencoded":
            return self._no("invalid_request", "the parameters come as a form")
        form = {name: str(value) for name, value in (await request.post()).items()}
        made = self._refreshed(form) if form.get("grant_type") == "refresh_token" else self._asserted(form)
        if isinstance(made, web.Response):
            return made
        with self._lock:
            token = f"ya29.{len(self.given)}-{made.subject}"
            self.given.append(made)
            self._tokens[token] = made
        return web.json_response(
            {
                "access_token": token,
                "expires_in": self.lifetime,
                "scope": " ".join(sorted(made.scopes)),
                "token_type": "Bearer",
            },
            headers={"Cache-Control": "no-store"},
        )

    def _refreshed(self, form: dict[str, str]) -> Grant | web.Response:
        unknown = set(form) - {"grant_type", "client_id", "client_secret", "refresh_token", "scope"}
        if unknown:
            return self._no("invalid_request", f"unknown: {', '.join(sorted(unknown))}")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return self._no("invalid_client", "The OAuth client was not found.", 401)
        known = self._people.get(form.get("refresh_token", ""))
        if known is None:
            return self._no("invalid_grant", "Token has been expired or revoked.")
        subject, scopes = known
        wanted = frozenset(form.get("scope", "").split()) or scopes
        if not wanted <= scopes:
            return self._no("invalid_scope", "Some requested scopes were not granted.")
        return Grant(subject, wanted, self.now() + self.lifetime)

    def _asserted(self, form: dict[str, str]) -> Grant | web.Response:
        if form.get("grant_type") != _BEARER:
            return self._no("unsupported_grant_type", "Invalid grant_type")
        if set(form) != {"grant_type", "assertion"}:
            return self._no("invalid_request", "an assertion, and nothing else")
        try:
            claims = self._claims(form["assertion"])
        except (ValueError, KeyError, TypeError, InvalidSignature) as error:
            return self._no("invalid_grant", f"Invalid JWT: {error or type(error).__name__}")
        wanted = frozenset(str(claims.get("scope", "")).split())
        if not wanted:
            return self._no("invalid_scope", "Empty or missing scope not allowed.")
        if not wanted <= self._machines[claims["iss"]][1]:
            return self._no("unauthorized_client", "Client is unauthorized to retrieve access tokens.", 401)
        return Grant(claims["iss"], wanted, self.now() + self.lifetime)

    def _claims(self, assertion: str) -> dict[str, Any]:
        head, body, signature = assertion.split(".")
        header, claims = json.loads(_bytes(head)), json.loads(_bytes(body))
        if header.get("alg") != "RS256" or header.get("typ") != "JWT":
            raise ValueError("the header must say RS256 and JWT")
        if claims["iss"] not in self._machines:
            raise ValueError("account not found")
        self._machines[claims["iss"]][0].verify(
            _bytes(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        now = self.now()
        if claims["aud"] != _AUDIENCE:
            raise ValueError(f"the audience must be {_AUDIENCE}")
        if claims["exp"] <= now or claims["exp"] - claims["iat"] > 3600 or claims["iat"] > now + 300:
            raise ValueError("Token must be a short-lived token and in a reasonable timeframe")
        return claims

    def _no(self, error: str, description: str, status: int = 400) -> web.Response:
        self.refused.append(error)
        return web.json_response({"error": error, "error_description": description}, status=status)


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class OAuthService(Service):
    """The token endpoint alone, and a page `/who` that shows who asks, for tests of signing in."""

    def __init__(self) -> None:
        super().__init__()
        self.oauth = OAuth()

    def add_routes(self, app: web.Application) -> None:
        self.oauth.add_routes(app)
        app.router.add_route("*", "/who", self._who)

    async def _who(self, request: web.Request) -> web.Response:
        found = self.oauth.grant(request.headers.get("Authorization"))
        if found is None:
            body = {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}
            return web.json_response(body, status=401)
        return web.json_response({"subject": found.subject, "scopes": sorted(found.scopes)})
