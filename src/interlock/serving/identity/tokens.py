"""Bearer tokens and their principals."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ...tools.errors import PrincipalError
from ...tools.principal import Principal
from ...tools.tokens import PrincipalClaims, TokenVerifier, read_keys

VerifierT = TypeVar("VerifierT", bound=TokenVerifier)


class Tokens:
    """Reads principals from bearer tokens.

    Args:
        issuer: The required value of the claim `iss`.
        audience: The required value in the claim `aud`.
        keys: The source of the issuer's public keys: the URL of a JSON Web Key Set, or the path of a file with one or with a key in PEM.
            A key set is fetched on first use, and again if a token names an unknown key.
        algorithms: The accepted signature algorithms.
        id_claim: The claim with the principal's id.
        roles_claim: The claim with the roles: a list, or words separated by spaces. A path with dots reaches into objects, such as
            `realm_access.roles`.
        tenant_claim: The claim with the tenant; if a token lacks it, the default tenant is used. None if there is only one tenant.
        revoked: A function of the claims that returns whether the token was revoked; called for each request.
        leeway: The accepted difference between clocks, in seconds.

    Raises:
        InputError: A setting is invalid.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: str | Path,
        algorithms: Iterable[str] = ("RS256", "ES256", "EdDSA"),
        id_claim: str = "sub",
        roles_claim: str = "roles",
        tenant_claim: str | None = "tenant",
        revoked: Callable[[Mapping[str, Any]], bool] | None = None,
        leeway: float = 30.0,
    ) -> None:
        self._settings: dict[str, Any] = {
            "issuer": issuer,
            "keys": read_keys(str(keys)),
            "algorithms": tuple(algorithms),
            "leeway": leeway,
            "subject": id_claim,
        }
        self.audience = audience
        self._verifier = self.verifier(TokenVerifier, audience)
        self._names = PrincipalClaims(id_claim, roles_claim, tenant_claim)
        self._revoked = revoked

    def claims(self, token: str) -> dict[str, Any]:
        """Verify a token and return its claims. Blocks while a key set is fetched.

        Raises:
            PrincipalError: It is not valid: expired, of another issuer, for another audience, not signed by its key, or revoked.
        """
        import jwt  # noqa: PLC0415 -- of the extra `serve`

        try:
            claims = self._verifier.claims_of(token)
        except jwt.PyJWKClientConnectionError as error:
            raise PrincipalError(
                f"The issuer's keys could not be fetched, so the token could not be verified ({error}). Try again.",
                code="keys_unavailable",
                retryable=True,
            ) from None
        except jwt.PyJWTError as error:
            raise PrincipalError(
                f"The bearer token is not valid: {error}. Get a new one.", code="invalid_token"
            ) from None
        self._check_current(claims)
        return claims

    def verifier(self, kind: type[VerifierT], audience: str) -> VerifierT:
        """A verifier of the same issuer's tokens for another audience.

        Args:
            kind: Its class.
            audience: The audience.
        """
        return kind(audience=audience, **self._settings)

    def current(self, claims: Mapping[str, Any]) -> Principal:
        """The principal in claims that were already verified, unless the token was revoked.

        Raises:
            PrincipalError: The token was revoked, or the claims name nobody.
        """
        self._check_current(claims)
        return self.principal_of(claims)

    def _check_current(self, claims: Mapping[str, Any]) -> None:
        if self._revoked is not None and self._revoked(claims):
            raise PrincipalError("The bearer token was revoked. Get a new one.", code="invalid_token")

    def principal(self, token: str) -> Principal:
        """Verify a token and return its principal.

        Raises:
            PrincipalError: It is not valid, or its claims name nobody.
        """
        return self.principal_of(self.claims(token))

    def principal_of(self, claims: Mapping[str, Any]) -> Principal:
        """The principal in verified claims.

        Raises:
            PrincipalError: They name nobody, or one of them is invalid.
        """
        return self._names.principal_of(claims)


__all__ = ["Tokens"]
