"""Verifies access tokens: JSON Web Tokens (RFC 7519) of one issuer for one audience, with PyJWT and the issuer's public keys.

The extras for servers install PyJWT; it is imported only when tokens are verified.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..urls import parts_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Only algorithms with a public key: a server that verifies tokens must not be able to issue them."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class TokenVerifier:
    """Verifies access tokens as an OAuth resource server: signature, issuer, audience, lifetime and subject.

    Args:
        issuer: The authorization server, as its tokens name it in `iss`.
        audience: This server, as its tokens name it in `aud`.
        keys: Where the issuer's public keys are: the URL of its JWK Set, a JWK Set, or one key in PEM.
        algorithms: Those that are accepted, all of them with a public key.
        leeway: Seconds by which clocks may differ.
        subject: The claim that has to say whom a token names.

    Raises:
        InputError: The issuer or the audience is empty, the keys cannot be read, their URL is not secure, or an algorithm has no public key.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: str | bytes | Mapping[str, Any],
        algorithms: Iterable[str] = ALGORITHMS,
        leeway: float = 10,
        subject: str = "sub",
    ) -> None:
        if not issuer or not audience:
            raise InputError(
                "Tokens need an issuer and an audience: a token of another issuer, or for another service, would count otherwise. Nothing was "
                "served. Give both."
            )
        self._algorithms = list(algorithms)
        if not self._algorithms or (unknown := sorted(set(self._algorithms) - set(ALGORITHMS))):
            named = ", ".join(unknown) if self._algorithms else "nothing"
            raise InputError(
                f"Tokens signed with {named} are not accepted: anyone who can verify such a "
                f"token can create one, or nobody signed it. Pass some of these algorithms: {', '.join(ALGORITHMS)}."
            )
        self.issuer = issuer
        self.audience = audience
        self._leeway = leeway
        self._required = ["exp", "iss", "aud", subject]
        self._keys = _keys(keys)

    def claims_of(self, token: str) -> dict[str, Any]:
        """The claims of a token that counts here. Blocks while a key set is fetched.

        Raises:
            jwt.PyJWTError: It does not count here; a `PyJWKClientConnectionError` where the keys are out of reach.
        """
        jwt = _jwt()
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_for(token),
                algorithms=self._algorithms,
                audience=self.audience,
                issuer=self.issuer,
                leeway=self._leeway,
                options={"require": self._required},
            )
        except jwt.PyJWTError:
            raise
        except Exception as error:  # a client can send anything, and PyJWT raises other errors for some of it
            raise jwt.InvalidTokenError(f"it cannot be read ({type(error).__name__})") from error
        return claims

    def _key_for(self, token: str) -> Any:
        jwt = _jwt()
        if isinstance(self._keys, jwt.PyJWKClient):
            return self._keys.get_signing_key_from_jwt(token)
        if isinstance(self._keys, jwt.PyJWKSet):
            key_id = jwt.get_unverified_header(token).get("kid")
            for key in self._keys.keys:
                if key.key_id == key_id or (key_id is None and len(self._keys.keys) == 1):
                    return key
            raise jwt.InvalidKeyError("no key of this id")
        return self._keys


def _jwt() -> Any:
    import jwt  # noqa: PLC0415 -- of the extras that serve something

    return jwt


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
            return _jwt().PyJWKSet.from_dict(dict(given))
        if isinstance(given, str) and "://" in given:
            return _client(given)
        return _public(given if isinstance(given, bytes) else given.encode())
    except (_jwt().PyJWTError, ValueError, TypeError):
        raise _unreadable("given") from None


def _public(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 -- comes with PyJWT

    return load_pem_public_key(pem)


def _client(url: str) -> Any:
    parts = parts_of(url, "The address of the keys")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise InputError(
            f"The keys at {url} would come over a connection that anybody on the way can change. Nothing was served. Give an https URL.",
            code="insecure_keys",
        )
    # Single keys are not cached: a key that the issuer removed from its set would stay valid as long as the process runs.
    return _jwt().PyJWKClient(url, timeout=10)


def _unreadable(place: str) -> InputError:
    return InputError(
        f"The keys {place} are neither a JWK Set nor a public key in PEM. Nothing was served. Give the URL of the issuer's JWK Set, or a "
        "file with it or with one public key.",
        code="unreadable_keys",
    )


__all__ = ["ALGORITHMS", "TokenVerifier", "read_keys"]
