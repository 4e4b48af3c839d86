"""Access tokens: JWTs of one issuer for one audience, verified with PyJWT against the issuer's public keys."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import jwt
from mcp.server.auth.provider import AccessToken

from ...tools.errors import InputError, PrincipalError
from ...tools.sinks import logger_of

logger = logger_of("interlock.mcp")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key: a server that verifies tokens must not be able to make them."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class JWTVerifier:
    """Verifies access tokens as an OAuth resource server: signature, issuer, audience, lifetime and subject.

    It is a `TokenVerifier` of the SDK. What it refuses it logs, without the token.

    Args:
        issuer: The authorization server, as its tokens name it in `iss`.
        audience: This server, as its tokens name it in `aud`: the URL under which clients know it (RFC 8707).
        keys: Where the issuer's public keys are: the URL of its JWK Set, a JWK Set, or one key in PEM.
        algorithms: Those that are accepted, all of them with a public key.
        leeway: Seconds by which clocks may differ.

    Raises:
        InputError: The keys cannot be read, their URL is not secure, or an algorithm has no public key.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: str | bytes | Mapping[str, Any],
        algorithms: tuple[str, ...] = ALGORITHMS,
        leeway: float = 10,
    ) -> None:
        if unknown := sorted(set(algorithms) - set(ALGORITHMS)):
            raise InputError(
                f"Tokens signed with {', '.join(unknown)} are not accepted: who can verify such a token can make one, or nobody signed it. "
                f"Give some of {', '.join(ALGORITHMS)}."
            )
        self.issuer = issuer
        self.audience = audience
        self._algorithms = list(algorithms)
        self._leeway = leeway
        self._keys = _keys(keys)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Verify an access token.

        Args:
            token: As it came in the header.

        Returns:
            Whom it names and what for; None when it does not count here.
        """
        try:
            claims = await anyio.to_thread.run_sync(self.claims_of, token)
        except jwt.PyJWTError as error:
            logger.info("an access token was refused: %s", error)
            return None
        scope = claims.get("scope", claims.get("scp", ""))
        return AccessToken(
            token="",  # nothing needs it any more, and what is not kept cannot be shown
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=scope.split() if isinstance(scope, str) else [str(one) for one in scope],
            expires_at=int(claims["exp"]),
            resource=self.audience,  # which was checked
            subject=claims["sub"],
            claims=claims,
        )

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that came another way than with a request.

        Raises:
            PrincipalError: It does not count here.
        """
        try:
            return self.claims_of(token)
        except jwt.PyJWTError as error:
            raise PrincipalError(
                f"The access token does not count here: {error}. Nothing was done; get a new one for {self.audience}."
            ) from None

    def claims_of(self, token: str) -> dict[str, Any]:
        """The claims of a token that counts here.

        Raises:
            jwt.PyJWTError: It does not count here.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_for(token),
                algorithms=self._algorithms,
                audience=self.audience,
                issuer=self.issuer,
                leeway=self._leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            raise
        except Exception as error:  # anybody can send anything, and PyJWT stumbles over some of it
            raise jwt.InvalidTokenError(f"it cannot be read ({type(error).__name__})") from error
        return claims

    def _key_for(self, token: str) -> Any:
        if isinstance(self._keys, jwt.PyJWKClient):
            return self._keys.get_signing_key_from_jwt(token)
        if isinstance(self._keys, jwt.PyJWKSet):
            key_id = jwt.get_unverified_header(token).get("kid")
            for key in self._keys.keys:
                if key.key_id == key_id or (key_id is None and len(self._keys.keys) == 1):
                    return key
            raise jwt.InvalidKeyError("no key of this id")
        return self._keys


def read_keys(place: str) -> str | bytes | Mapping[str, Any]:
    """Read what a command line says of the keys: a URL, or a file with a JWK Set or a key in PEM.

    Raises:
        InputError: There is no such file, or it has neither.
    """
    if "://" in place:
        return place
    try:
        text = Path(place).read_text("utf-8")
    except OSError as error:
        raise InputError(
            f"The keys {place!r} cannot be read: {error.strerror}. Nothing was served. Give the URL of the issuer's JWK Set, or a file with "
            "it or with one public key in PEM.",
            code="unreadable_keys",
        ) from None
    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError:
            raise _unreadable(place) from None
    return text.encode()


def _keys(given: str | bytes | Mapping[str, Any]) -> Any:
    try:
        if isinstance(given, Mapping):
            return jwt.PyJWKSet.from_dict(dict(given))
        if isinstance(given, str) and "://" in given:
            return _client(given)
        return _public(given if isinstance(given, bytes) else given.encode())
    except (jwt.PyJWTError, ValueError, TypeError):
        raise _unreadable("given") from None


def _public(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 -- comes with PyJWT

    return load_pem_public_key(pem)


def _client(url: str) -> jwt.PyJWKClient:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise InputError(
            f"The keys at {url} would come over a connection that anybody on the way can change. Nothing was served. Give an https URL.",
            code="insecure_keys",
        )
    return jwt.PyJWKClient(url, timeout=10)


def _unreadable(place: str) -> InputError:
    return InputError(
        f"The keys {place} are neither a JWK Set nor a public key in PEM. Nothing was served. Give the URL of the issuer's JWK Set, or a "
        "file with it or with one public key.",
        code="unreadable_keys",
    )


__all__ = ["ALGORITHMS", "JWTVerifier", "read_keys"]
