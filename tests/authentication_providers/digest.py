"""HTTP Digest (RFC 7616), as somebody would write it who needs it: ``Authorization: Digest username="alice", ...``.

What the client sends is a hash of its password, of what it asks for, and of a nonce that is good for a while. With each
use of a nonce it counts on (``nc``), so that no header is good twice.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from urllib.parse import unquote_to_bytes

from flask_securest import Identity
from flask_securest.authentication_providers import AbstractAuthenticationProvider
from flask_securest.authentication_providers.headers import Token, format_challenge, read_authorization
from flask_securest.errors import BadCredentialsError
from flask_securest.models import require_user

#: The strongest first (RFC 7616, section 3.7).
ALGORITHMS = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}

_PARAMETER = re.compile(
    rb"[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*"
    rb"""(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+)))?[ \t]*(?:,|\Z)""",
    re.DOTALL,
)
_NEEDED = ("realm", "nonce", "uri", "response", "qop", "nc", "cnonce")
_NONCE = re.compile(r"([0-9a-f]{9})([0-9a-f]{24})([0-9a-f]{32})")
_COUNT = re.compile("[0-9a-f]{8}")
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")

#: How often a nonce may be used. What has been used must be remembered.
_MOST_USES = 10_000


def digest(algorithm, *parts):
    return ALGORITHMS[algorithm](b":".join(part.encode() for part in parts)).hexdigest()


def hashes_of(username, realm, password):
    """Return what is stored of a password: whoever reads it can be that user in this realm, and in no other one."""
    return {algorithm: digest(algorithm, username, realm, password) for algorithm in ALGORITHMS}


class DigestAuthenticator(AbstractAuthenticationProvider):
    """Know users by Digest. ``user.attributes["digest"]`` is what :func:`hashes_of` returns.

    :param realm: what the hashes were made for
    :param key: what nonces are signed with: the same in every process. What was used is known to one process only.
    :param nonce_seconds: how long a nonce is good for
    :param opaque: what the client has to send back as it is, if anything
    :param clock: tells the time
    """

    one_time = True

    def __init__(self, realm, *, key=None, nonce_seconds=60, opaque=None, clock=time.time, name="digest"):
        self.name = name
        self.realm = realm
        self.nonce_seconds = nonce_seconds
        self.opaque = opaque
        self.clock = clock
        self._key = secrets.token_bytes(32) if key is None else key
        self._used = {}
        self._using = threading.Lock()

    def authenticate(self, request, userstore):
        credentials = read_authorization(request, "digest")
        if credentials is None:
            return None
        given = _parse(credentials)
        username, algorithm = _username_of(given), given.get("algorithm", "MD5")
        self._check(given, algorithm, request)
        made_at = self._time_of(given["nonce"])
        user = userstore.get_user(username)
        secret = None if user is None else require_user(user).attributes.get("digest", {}).get(algorithm)
        # For nobody, too: the time of the answer must not tell which accounts exist (CWE-208).
        secret = secret or secrets.token_hex(32)
        right = _respond(algorithm, secret, given, request.environ["REQUEST_METHOD"])
        # As bytes, for what was sent may be no ASCII; and in constant time.
        if not hmac.compare_digest(right.encode(), given["response"].encode()):
            raise BadCredentialsError("a wrong response, or an unknown user", account=username)
        # Only now: "stale" says that the password was right (RFC 7616, section 3.3).
        if not 0 <= self.clock() - made_at <= self.nonce_seconds:
            raise BadCredentialsError("a nonce of before", challenge=self._challenges(stale=True), account=username)
        # Whoever has listened could send it once more (CWE-294).
        if not self._use(given["nonce"], made_at, int(given["nc"], 16)):
            raise BadCredentialsError("a replay", challenge=self._challenges(stale=True), account=username)
        # By which the server proves to the client that it knows the password (section 3.5).
        proof = _respond(algorithm, secret, given, "")
        info = f'rspauth="{proof}", qop=auth, nc={given["nc"]}, cnonce="{_escape(given["cnonce"])}"'
        return Identity(user, self.name, response_headers=(("Authentication-Info", info),))

    def challenge(self, realm, error=None):
        return self._challenges()

    def account_of(self, request):
        try:
            credentials = read_authorization(request, "digest")
            return None if credentials is None else _username_of(_parse(credentials))
        except BadCredentialsError:
            return None

    def _challenges(self, *, stale=False):
        """Return one for each algorithm, with one nonce: there are clients that mix them up."""
        made = f"{int(self.clock()):09x}{secrets.token_hex(12)}"
        return [
            format_challenge(
                "Digest",
                realm=self.realm,
                qop="auth",
                algorithm=Token(algorithm),
                nonce=made + self._sign(made),
                opaque=self.opaque,
                charset="UTF-8",
                stale=Token("true") if stale else None,
            )
            for algorithm in ALGORITHMS
        ]

    def _sign(self, made):
        return hmac.digest(self._key, made.encode(), "sha256").hex()[:32]

    def _time_of(self, nonce):
        """Return when a nonce was made; anybody can make up one of another time, or of another server."""
        parts = _NONCE.fullmatch(nonce)
        if parts is None or not hmac.compare_digest(self._sign(parts[1] + parts[2]), parts[3]):
            raise BadCredentialsError("a nonce that is none of ours")
        return int(parts[1], 16)

    def _check(self, given, algorithm, request):
        """Refuse what was not asked for like this."""
        if algorithm not in ALGORITHMS or given["qop"] != "auth" or not _COUNT.fullmatch(given["nc"]):
            raise BadCredentialsError("another algorithm or qop than those of the challenge, or no count")
        if given.get("userhash", "false") != "false":
            raise BadCredentialsError("a user name that is hashed, for which nobody has asked")
        if not (given["cnonce"].isascii() and given["cnonce"].isprintable()):
            # It is sent back in a header, where it could begin another one (CWE-113).
            raise BadCredentialsError("a cnonce that no header could have")
        if given["realm"] != self.realm or given.get("opaque") != self.opaque:
            raise BadCredentialsError("another realm, or another opaque, than those of the challenge")
        # A header that was made for one resource must be good for no other one (section 3.4.6).
        path, _, query = given["uri"].partition("?")
        environ = request.environ
        target = (environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1")
        if unquote_to_bytes(path) != target or query != environ.get("QUERY_STRING", ""):
            raise BadCredentialsError("credentials for another resource than the one that is asked for")

    def _use(self, nonce, made_at, count):
        """Return whether this is the first time; in any order, for a client may have several requests under way."""
        with self._using:
            # Only good responses are remembered, and no longer than they are good (CWE-400).
            while self._used:
                oldest = next(iter(self._used))
                if self.clock() - self._used[oldest][0] <= self.nonce_seconds:
                    break
                del self._used[oldest]
            _, counts = self._used.setdefault(nonce, (made_at, set()))
            if count in counts or len(counts) >= _MOST_USES:
                return False
            counts.add(count)
            return True


def _parse(credentials):
    """Return the parameters by their names, in lower case (RFC 9110, section 11.2)."""
    given, at = {}, 0
    while at < len(credentials):
        found = _PARAMETER.match(credentials, at)
        if found is None:
            raise BadCredentialsError("Digest credentials that are not written as they should be")
        at = found.end()
        if found[1] is None:
            continue  # an empty element of a list, which must be passed over (RFC 9110, section 5.6.1.2)
        name = found[1].decode("ascii").lower()
        value = found[3] if found[2] is None else re.sub(rb"\\(.)", rb"\1", found[2], flags=re.DOTALL)
        # Of two, one would be checked, and the other one used.
        if name in given:
            raise BadCredentialsError("Digest credentials with a parameter that is there twice")
        try:
            given[name] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise BadCredentialsError("Digest credentials that are not UTF-8") from None
    missing = [name for name in _NEEDED if name not in given]
    if missing:
        raise BadCredentialsError(f"Digest credentials without {', '.join(missing)}")
    return given


def _username_of(given):
    """Return the user name, which is in one of two parameters: ``username*`` is for what is not ASCII (RFC 8187)."""
    username, extended = given.get("username"), given.get("username*")
    if extended is not None and username is None and extended[:7].lower() == "utf-8''":
        try:
            username = unquote_to_bytes(extended[7:]).decode("utf-8")
        except UnicodeDecodeError:
            username = None
    elif extended is not None:
        username = None
    if not username or _CONTROL_CHARACTER.search(username):
        raise BadCredentialsError("Digest credentials without a user name, or with two")
    return username


def _respond(algorithm, secret, given, method):
    """Return the response to a challenge (RFC 7616, section 3.4.1); with an empty method, the server's proof."""
    asked = digest(algorithm, method, given["uri"])
    return digest(algorithm, secret, given["nonce"], given["nc"], given["cnonce"], given["qop"], asked)


def _escape(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')
