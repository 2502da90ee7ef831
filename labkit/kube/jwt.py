"""JSON Web Tokens as Kubernetes signs them for ServiceAccounts.

A token is claims that a key of the cluster has signed; whoever has the public half can tell that
they are genuine.  Keys are EC P-256 (ES256) or RSA (RS256).

Source: RFC 7515, 7517, 7518 and 7519; k8s.io/kubernetes pkg/serviceaccount (jwt.go,
openidmetadata.go).
Left out: several keys at once, which upstream has for the time in which one replaces another.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

_SHA256 = hashes.SHA256()
_HALF = 32  # bytes of each number in an ES256 signature


class Key:
    """A private key that signs tokens and knows its own.  Raises ValueError for other PEM."""

    def __init__(self, pem: bytes) -> None:
        self._private = serialization.load_pem_private_key(pem, None)
        self._public = self._private.public_key()
        der = self._public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.id = _text(hashlib.sha256(der).digest())
        self.algorithm = "RS256" if isinstance(self._private, rsa.RSAPrivateKey) else "ES256"
        self._header = _text(orjson.dumps({"alg": self.algorithm, "kid": self.id}))

    def sign(self, claims: Mapping) -> str:
        """The token with these claims."""
        content = f"{self._header}.{_text(orjson.dumps(claims))}"
        return f"{content}.{_text(self._signature(content.encode()))}"

    def claims(self, token: str) -> dict:
        """The claims of a token that this key signed.  Raises ValueError for any other text."""
        content, _, signature = token.rpartition(".")
        head, _, body = content.partition(".")
        header = orjson.loads(_bytes(head))
        if not isinstance(header, dict) or header.get("alg") != self.algorithm:
            raise ValueError("the token was signed in another way")
        try:
            self._verify(_bytes(signature), content.encode())
        except InvalidSignature:
            raise ValueError("the token was signed by another key") from None
        claims = orjson.loads(_bytes(body))
        if not isinstance(claims, dict):
            raise ValueError("the token has no claims")
        return claims

    def public_jwk(self) -> dict:
        """The public key as RFC 7517 has it."""
        common = {"use": "sig", "kid": self.id, "alg": self.algorithm}
        numbers = self._public.public_numbers()
        if self.algorithm == "RS256":
            return {"kty": "RSA", **common, "n": _number(numbers.n), "e": _number(numbers.e)}
        x, y = (_text(value.to_bytes(_HALF, "big")) for value in (numbers.x, numbers.y))
        return {"kty": "EC", **common, "crv": "P-256", "x": x, "y": y}

    def _signature(self, content: bytes) -> bytes:
        if self.algorithm == "RS256":
            return self._private.sign(content, padding.PKCS1v15(), _SHA256)
        r, s = decode_dss_signature(self._private.sign(content, ec.ECDSA(_SHA256)))
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")

    def _verify(self, signature: bytes, content: bytes) -> None:
        if self.algorithm == "RS256":
            self._public.verify(signature, content, padding.PKCS1v15(), _SHA256)
            return
        if len(signature) != 2 * _HALF:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
        self._public.verify(encode_dss_signature(r, s), content, ec.ECDSA(_SHA256))


def new_key() -> bytes:
    """A fresh EC P-256 key (PEM, PKCS 8)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
