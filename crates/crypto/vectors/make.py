"""Writes signatures.txt: signatures that must verify and signatures that must not, made with Python's cryptography.

Run it only to add cases; the recorded file is what the tests read. Usage: python make.py > signatures.txt
"""

import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS1 = serialization.PublicFormat.PKCS1
DER = serialization.Encoding.DER
PREHASHED = utils.Prehashed(hashes.SHA256())
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED_ORDER = 2**252 + 27742317777372353535851937790883648493


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def key(name, public, form):
    print("key", name, public.public_bytes(DER, form).hex())


def case(verdict, key_name, image, signature, what):
    print(verdict, key_name, digest(image).hex(), signature.hex(), what)


def pss():
    private = rsa.generate_private_key(65537, 2048)
    key("rsa", private.public_key(), PKCS1)
    key("rsa-other", rsa.generate_private_key(65537, 2048).public_key(), PKCS1)
    numbers = private.private_numbers()
    n, d = numbers.public_numbers.n, numbers.d

    def sign(image, salt_len=32, mgf_hash=hashes.SHA256()):
        scheme = padding.PSS(padding.MGF1(mgf_hash), salt_len)
        return private.sign(digest(image), scheme, PREHASHED)

    def raw(number):
        return pow(number, d, n).to_bytes(256, "big")

    def encode(image, salt, zeros=190, one=1, trailer=0xBC, top=0, message_hash=None):
        """EMSA-PSS-ENCODE by hand, with every part open to change."""
        m = message_hash or digest(image)
        h = hashlib.sha256(bytes(8) + m + salt).digest()
        first = bytes(zeros) if isinstance(zeros, int) else zeros
        block = first + bytes([one]) + salt
        mask = b"".join(hashlib.sha256(h + i.to_bytes(4, "big")).digest() for i in range(7))[:223]
        masked = bytearray(a ^ b for a, b in zip(block, mask))
        masked[0] = (masked[0] & 0x7F) | top
        return int.from_bytes(bytes(masked) + h + bytes([trailer]), "big")

    for number in range(3):
        case("accept", "rsa", f"image {number}", sign(f"image {number}"), "as the library signs")
    good = sign("image")
    case("accept", "rsa", "image", good, "the signature that others change")
    case("accept", "rsa", "image", raw(encode("image", bytes(32))), "a salt of zeros")
    case("accept", "rsa", "image", raw(encode("image", b"\xff" * 32)), "a salt of ones")
    attempt = 0
    while (short := sign(f"short {attempt}"))[0] != 0:
        attempt += 1
    case("accept", "rsa", f"short {attempt}", short, "a signature that starts with a zero byte")
    case("refuse", "rsa", f"short {attempt}", short[1:], "the same without the zero byte")

    case("refuse", "rsa", "another image", good, "another image")
    case("refuse", "rsa-other", "image", good, "another key")
    case("refuse", "rsa", "image", good[:-1], "a byte short")
    case("refuse", "rsa", "image", good + b"\0", "a byte long")
    case("refuse", "rsa", "image", good[::-1], "little-endian")
    for at in (0, 127, 255):
        changed = bytearray(good)
        changed[at] ^= 1
        case("refuse", "rsa", "image", bytes(changed), f"bit 0 of byte {at} flipped")
    for salt_len in (0, 20, 31, 33, 222):
        case("refuse", "rsa", "image", sign("image", salt_len), f"a salt of {salt_len} bytes")
    case("refuse", "rsa", "image", sign("image", mgf_hash=hashes.SHA1()), "MGF1 with SHA-1")
    case("refuse", "rsa", "image", sign("image", mgf_hash=hashes.SHA512()), "MGF1 with SHA-512")
    v15 = private.sign(digest("image"), padding.PKCS1v15(), PREHASHED)
    case("refuse", "rsa", "image", v15, "PKCS#1 v1.5")
    salt = digest("salt")
    case("refuse", "rsa", "image", raw(encode("image", salt, trailer=0xCC)), "trailer 0xcc")
    case("refuse", "rsa", "image", raw(encode("image", salt, one=2)), "a two where the one belongs")
    case("refuse", "rsa", "image", raw(encode("image", salt, one=0)), "a zero where the one belongs")
    dirty = bytes(100) + b"\1" + bytes(89)
    case("refuse", "rsa", "image", raw(encode("image", salt, zeros=dirty)), "padding that is not zero")
    topped = encode("image", salt, top=0x80)
    attempt = 0
    while topped >= n:
        attempt += 1
        topped = encode("image", digest(f"salt {attempt}"), top=0x80)
    case("refuse", "rsa", "image", raw(topped), "the top bit set")
    twice = hashlib.sha256(digest("image")).digest()
    case("refuse", "rsa", "image", raw(encode("image", salt, message_hash=twice)), "the digest hashed again")
    attempt = 0
    while True:
        small = int.from_bytes(sign(f"small {attempt}"), "big")
        if small + n < 2**2048:
            break
        attempt += 1
    case("refuse", "rsa", f"small {attempt}", (small + n).to_bytes(256, "big"), "the modulus added")
    for number, what in ((0, "zero"), (1, "one"), (n - 1, "one less than the modulus"), (n, "the modulus")):
        case("refuse", "rsa", "image", number.to_bytes(256, "big"), f"the number {what}")
    case("refuse", "rsa", "image", b"", "nothing")


def ecdsa():
    private = ec.generate_private_key(ec.SECP256R1())
    key("p256", private.public_key(), SPKI)
    key("p256-other", ec.generate_private_key(ec.SECP256R1()).public_key(), SPKI)

    def sign(image):
        return private.sign(digest(image), ec.ECDSA(PREHASHED))

    for number in range(8):
        case("accept", "p256", f"image {number}", sign(f"image {number}"), "as the library signs")
    good = sign("image")
    r, s = utils.decode_dss_signature(good)
    der = utils.encode_dss_signature
    case("accept", "p256", "image", der(r, min(s, P256_ORDER - s)), "the lower s")
    case("accept", "p256", "image", der(r, max(s, P256_ORDER - s)), "the higher s")
    case("accept", "p256", "image", good.ljust(72, b"\0"), "padded as imgtool --pad-sig does")
    attempt = 0
    while len(short := sign(f"short {attempt}")) > 69:
        attempt += 1
    case("accept", "p256", f"short {attempt}", short, f"a signature of {len(short)} bytes")

    case("refuse", "p256", "another image", good, "another image")
    case("refuse", "p256-other", "image", good, "another key")
    case("refuse", "p256", "image", good[:-1], "a byte short")
    case("refuse", "p256", "image", good.ljust(73, b"\0"), "padded too far")
    case("refuse", "p256", "image", (good + b"\1").ljust(72, b"\0") if len(good) < 72 else good + b"\1", "something after it")
    case("refuse", "p256", "image", r.to_bytes(32, "big") + s.to_bytes(32, "big"), "r and s without DER")
    case("refuse", "p256", "image", der(s, r), "r and s exchanged")
    for a, b, what in (
        (0, s, "r zero"), (r, 0, "s zero"), (0, 0, "both zero"), (1, 1, "both one"),
        (P256_ORDER, s, "r the order"), (r, P256_ORDER, "s the order"),
        (P256_ORDER, P256_ORDER, "both the order"), (r, P256_ORDER + 1, "s one more than the order"),
    ):
        case("refuse", "p256", "image", der(a, b), what)
    case("refuse", "p256", "image", b"", "nothing")


def eddsa():
    private = ed25519.Ed25519PrivateKey.generate()
    key("ed25519", private.public_key(), SPKI)
    key("ed25519-other", ed25519.Ed25519PrivateKey.generate().public_key(), SPKI)
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    seed = private.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = (scalar & ((1 << 254) - 8)) | (1 << 254)

    def sign(image):
        return private.sign(digest(image))

    for number in range(4):
        case("accept", "ed25519", f"image {number}", sign(f"image {number}"), "as the library signs")
    good = sign("image")
    case("accept", "ed25519", "image", good, "the signature that others change")
    case("refuse", "ed25519", "another image", good, "another image")
    case("refuse", "ed25519-other", "image", good, "another key")
    case("refuse", "ed25519", "image", good[:-1], "a byte short")
    case("refuse", "ed25519", "image", good + b"\0", "a byte long")
    for at in (0, 31, 32, 63):
        changed = bytearray(good)
        changed[at] ^= 1
        case("refuse", "ed25519", "image", bytes(changed), f"bit 0 of byte {at} flipped")
    s = int.from_bytes(good[32:], "little")
    case("refuse", "ed25519", "image", good[:32] + (s + ED_ORDER).to_bytes(32, "little"), "the order added to s")
    identity = b"\1" + bytes(31)
    k = int.from_bytes(hashlib.sha512(identity + public + digest("image")).digest(), "little")
    s = k * scalar % ED_ORDER
    case("refuse", "ed25519", "image", identity + s.to_bytes(32, "little"), "a first point of small order")
    prehashed = private.sign(hashlib.sha512(b"image").digest())
    case("refuse", "ed25519", "image", prehashed, "over SHA-512")
    case("refuse", "ed25519", "image", b"", "nothing")


pss()
ecdsa()
eddsa()
