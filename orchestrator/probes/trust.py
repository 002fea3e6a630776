"""TLS as a check's author wants it: which certificates are accepted, what is shown, how old it may be.

The one rule it keeps: if the certificate is verified, only what the author wrote makes TLS weaker than curl's. If it is
not verified, the probe connects to every console to which a person's program can connect.
"""

from __future__ import annotations

import os
import ssl
import time
from datetime import UTC
from functools import lru_cache
from typing import Any

from cryptography import x509

_DAY_S = 86400.0
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_USUAL = "DEFAULT:@SECLEVEL=2"  # as curl has them; Python leaves out some with which many an older device gets by
_WEAK = "DEFAULT:@SECLEVEL=0"
_Stamp = tuple[str, int, int] | None  # a file as it is now


def trust_of(options: Any, password: str | None, *, own: bool, name: str = "") -> ssl.SSLContext:
    """Not `own`: a place that a redirect led to, which is shown no certificate of ours. `name`: that the certificate
    must have. Raises OSError."""
    cert, key = (options.tls_client_cert_file, options.tls_client_key_file) if own else (None, None)
    return _context(
        options.tls_verify,
        _stamp(options.tls_ca_file),
        _stamp(cert),
        _stamp(key),
        password,
        options.tls_min_version,
        options.tls_ciphers,
        "_" in name,
    )


def _stamp(file: str | None) -> _Stamp:
    if file is None:
        return None
    try:
        status = os.stat(file)
    except OSError as error:
        raise OSError(f"{file}: {error.strerror or error}") from error
    return file, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _context(
    verify: bool,
    ca: _Stamp,
    cert: _Stamp,
    key: _Stamp,
    password: str | None,
    oldest: str | None,
    ciphers: str | None,
    unusual: bool,
) -> ssl.SSLContext:
    """Reading a file of authorities takes longer than a whole question."""
    context = ssl.create_default_context(cafile=ca[0] if ca and verify else None)
    # As curl and browsers do: any certificate that the author trusts ends the chain, and one that was made before the
    # newest rules (Python 3.13 asks for them) is no worse than it was.
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    if unusual or not verify:
        context.check_hostname = False  # `is_named` does it
    if not verify:
        context.verify_mode = ssl.CERT_NONE
        context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    if oldest is not None:
        context.minimum_version = VERSIONS[oldest]
    context.set_alpn_protocols(["http/1.1"])  # some places have no answer for who does not say it
    weak = not verify or oldest in ("1.0", "1.1")
    context.set_ciphers(ciphers or (_WEAK if weak else _USUAL))
    if cert is not None:
        context.post_handshake_auth = True  # some want it for a path alone, and ask once they know the path
        try:
            context.load_cert_chain(cert[0], key[0] if key else None, password or "")
        except ssl.SSLError as error:
            with_key = f" with {key[0]}" if key else ""
            raise OSError(f"client certificate {cert[0]}{with_key} cannot be used: {error.reason or error}") from error
    return context


def is_named(sock: ssl.SSLSocket) -> bool:
    """Whether the certificate names whom it should, where OpenSSL was not to say so: for OpenSSL `*.a.example` does not
    name `b_c.a.example`, for curl and browsers it does."""
    if sock.context.check_hostname or sock.context.verify_mode == ssl.CERT_NONE:
        return True
    name = (sock.server_hostname or "").lower()
    _, _, domain = name.partition(".")
    wanted = {name, f"*.{domain}"} if "." in domain else {name}
    shown: Any = (sock.getpeercert() or {}).get("subjectAltName", ())
    return any(kind == "DNS" and value.lower() in wanted for kind, value in shown)


def days_left_of(sock: ssl.SSLSocket) -> float | None:
    """Days until the server's certificate ends, negative afterwards; None if it shows none that can be read."""
    shown = sock.getpeercert(binary_form=True)
    if shown is None:
        return None
    try:
        ends = x509.load_der_x509_certificate(shown).not_valid_after_utc
    except (ValueError, x509.InvalidVersion):
        return None
    return (ends.astimezone(UTC).timestamp() - time.time()) / _DAY_S


def told_of_tls(error: OSError) -> str:
    """What a failure of TLS says, in an operator's words where it is a usual one."""
    reason = getattr(error, "reason", None) or ""
    if "CERTIFICATE_REQUIRED" in reason:
        return "TLS failed: the server wants a client certificate (tls_client_cert_file)"
    if "HANDSHAKE_FAILURE" in reason:
        hint = "no cipher in common, or it wants a client certificate (tls_ciphers, tls_client_cert_file)"
        return f"TLS failed: the server ends the handshake: {hint}"
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return "TLS failed: no version in common (tls_min_version)"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return f"TLS failed: the server does not accept our certificate: {reason.lower().replace('_', ' ')}"
    return f"TLS failed: {error}"
