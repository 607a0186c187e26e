"""Requests as the bytes that go over the wire, and the credentials and links in them. Everything is made before a
clock starts; the load client only sends it."""

import base64
import hmac
import itertools
import json
import time
import uuid

ISSUER, AUDIENCE = "https://auth.bench.test", "usher"
SECRET = "a-secret-of-the-bench-that-is-more-than-32-bytes"
LINK_KEY = b"the bench's key of links".ljust(32, b".")
LINK_KEY_ID = "k1"
HEAD = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
RUN = f"{time.time_ns():x}"
numbers = itertools.count(1)


def text64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def fresh() -> str:
    """an address that nobody had before"""
    return f"person-{next(numbers)}-{RUN}@example.test"


def tenant_id(at: int) -> uuid.UUID:
    return uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) + 0x1_0000_0000 + at)


def workspace_id(at: int) -> uuid.UUID:
    return uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) + 0x2_0000_0000 + at)


def bearer(subject: str, email: str) -> bytes:
    """a token of its own each time it is asked for, good for two hours"""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "email": email, "email_verified": True,
              "exp": int(time.time()) + 7200, "jti": f"{next(numbers)}-{RUN}"}
    signed = HEAD + b"." + text64(json.dumps(claims).encode())
    return b"Bearer " + signed + b"." + text64(hmac.digest(SECRET.encode(), signed, "sha256"))


def link(tenant: uuid.UUID, invite: uuid.UUID, salt: bytes, scope: str = "workspace", version: int = 1) -> str:
    """the token that usher derives for the first link of a row: HKDF and HMAC over SHA-256"""
    info = b"\0".join([b"usher/invite/v1", tenant.bytes, scope.encode(), invite.bytes, version.to_bytes(4)])
    derived = hmac.digest(hmac.digest(salt, LINK_KEY, "sha256"), info + b"\1", "sha256")
    head = text64(json.dumps({"alg": "HS256", "kid": LINK_KEY_ID, "typ": "inv"}, separators=(",", ":")).encode())
    signed = head + b"." + text64(json.dumps({"i": str(invite), "v": version}, separators=(",", ":")).encode())
    return (signed + b"." + text64(hmac.digest(derived, signed, "sha256"))).decode()


def request(group: str, method: str, path: str, host: str, headers: dict[str, bytes | str] = {}, body=None) -> bytes:
    """one request as the load client's file holds it: group, length, and the bytes to send"""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: " + host.encode()]
    lines += [name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
              for name, value in headers.items()]
    content = b""
    if body is not None:
        content = json.dumps(body).encode()
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(content)]
    sent = b"\r\n".join(lines) + b"\r\n\r\n" + content
    return b"%s %d\n" % (group.encode(), len(sent)) + sent
