"""Access tokens of MCP clients, in the form that the SDK requires."""

from typing import Any

import anyio.to_thread
import jwt
from mcp.server.auth.provider import AccessToken

from ...tools.errors import PrincipalError
from ...tools.sinks import logger_of
from ...tools.tokens import ALGORITHMS, TokenVerifier, read_keys

logger = logger_of("interlock.mcp")


class JWTVerifier(TokenVerifier):
    """Verifies access tokens for the SDK, as its `TokenVerifier`. It logs refusals, without the token.

    The audience is the public URL of this server (RFC 8707).
    """

    async def verify_token(self, token: str) -> AccessToken | None:
        """Verify an access token.

        Args:
            token: The token from the header.

        Returns:
            The person whom it names, and its scopes; None if it is not valid here.
        """
        try:
            claims = await anyio.to_thread.run_sync(self.claims_of, token)
        except jwt.PyJWTError as error:
            logger.info("an access token was refused: %s", error)
            return None
        scope = claims.get("scope", claims.get("scp", ""))
        return AccessToken(
            token="",  # nothing needs the token any more, and a token that is not stored cannot leak
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=scope.split() if isinstance(scope, str) else [str(one) for one in scope],
            expires_at=int(claims["exp"]),
            resource=self.audience,  # already verified
            subject=claims["sub"],
            claims=claims,
        )

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that did not come with a request.

        Raises:
            PrincipalError: The token is not valid here.
        """
        try:
            return self.claims_of(token)
        except jwt.PyJWTError as error:
            raise PrincipalError(
                f"The access token does not count here: {error}. Nothing was done; get a new one for {self.audience}."
            ) from None


__all__ = ["ALGORITHMS", "JWTVerifier", "read_keys"]
