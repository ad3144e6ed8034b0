"""lab.py - certificates for the cases: two CAs, and all that can be wrong with a certificate.

Made once for each run, by the openssl command, and removed at its end. Nothing here is older
than the run, but for what must be.
"""

import atexit
import base64
import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile

from kit import Build, Skip, write

CONFIG = """
[ca]
default_ca = lab
[lab]
dir = {dir}
database = $dir/index.txt
new_certs_dir = $dir
certificate = $dir/{ca}.pem
private_key = $dir/{ca}.key
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = 90
default_crl_days = 30
copy_extensions = copy
policy = any
[any]
commonName = supplied
"""

LOCAL = "DNS:localhost,IP:127.0.0.1,IP:::1"


class Lab:
    """`lab.path("server")` is a PEM file with a certificate and its key."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="soquete.lab.")
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        for ca in ("ca", "other-ca"):
            write(f"{self.dir}/{ca}.cnf", CONFIG.format(dir=self.dir, ca=ca).encode())
            self._authority(ca)
        write(f"{self.dir}/index.txt", b"")
        self._issue("server", LOCAL)
        self._issue("again", LOCAL)
        self._issue("named", "DNS:my.server.it,DNS:*.b.example")
        self._issue("elsewhere", "DNS:elsewhere.example")
        self._issue("expired", LOCAL, dates=("20200101000000Z", "20200131000000Z"))
        self._issue("future", LOCAL, dates=("20990101000000Z", "20990131000000Z"))
        self._issue("revoked", LOCAL)
        self._issue("stranger", LOCAL, ca="other-ca")
        self._issue("client", "email:client@my.server.it", use="clientAuth")
        self._issue("lost-client", "email:lost@my.server.it", use="clientAuth")
        self._issue("strange-client", "email:x@other.it", use="clientAuth", ca="other-ca")
        self._self_signed()
        for name in ("revoked", "lost-client"):
            self._openssl("ca", "-config", self.file("ca.cnf"), "-revoke", self.file(name + ".crt"),
                          "-crl_reason", "keyCompromise")
        self._openssl("ca", "-config", self.file("ca.cnf"), "-gencrl", "-out", self.file("crl.pem"))
        for name in ("server", "revoked"):
            self._staple(name)
        with open(self.file("ca.pem"), "rb") as ours, open(self.file("other-ca.pem"), "rb") as theirs:
            write(self.file("both-cas.pem"), ours.read() + theirs.read())
        self._join("server", then="ca", to="chain")

    def file(self, name):
        return f"{self.dir}/{name}"

    def path(self, name):
        return self.file(name + ".pem")

    def pin(self, name):
        """Of the key, as RFC 7469 has it."""
        key = self._openssl("pkey", "-in", self.file(name + ".key"), "-pubout", "-outform", "DER")
        return base64.b64encode(hashlib.sha256(key).digest()).decode()

    def trust(self, *, alpn=(), certificate=None, version=None):
        """A context of a Python client."""
        context = ssl.create_default_context(cafile=self.path("ca"))
        return self._adapt(context, alpn, certificate, version)

    def serve(self, name="server", *, alpn=(), version=None):
        """A context of a Python server."""
        return self._adapt(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), alpn, name, version)

    def _adapt(self, context, alpn, certificate, version):
        if certificate:
            context.load_cert_chain(self.path(certificate))
        if alpn:
            context.set_alpn_protocols(alpn)
        if version:
            context.minimum_version = context.maximum_version = {
                "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        return context

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True,
                              check=False, cwd=self.dir, env={**os.environ, "OPENSSL_CONF": "/dev/null"})
        if done.returncode:
            raise RuntimeError(f"openssl {args}: {done.stderr.decode()}")
        return done.stdout

    def _key(self, name):
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                      self.file(name + ".key"))

    def _authority(self, name):
        self._key(name)
        write(self.file(name + ".req"), b"[req]\ndistinguished_name=dn\n[dn]\n[ca]\n"
              b"basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign,"
              b"digitalSignature\nsubjectKeyIdentifier=hash\n")
        self._openssl("req", "-x509", "-new", "-key", self.file(name + ".key"), "-days", "365", "-subj",
                      f"/CN={name} of the laboratory", "-config", self.file(name + ".req"),
                      "-extensions", "ca", "-out", self.path(name))

    def _issue(self, name, names, *, use="serverAuth", ca="ca", dates=None):
        self._key(name)
        write(self.file(name + ".req"), f"[req]\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\n"
              f"[v3]\nsubjectAltName={names}\nextendedKeyUsage={use}\nkeyUsage=critical,"
              f"digitalSignature\n".encode())
        self._openssl("req", "-new", "-key", self.file(name + ".key"), "-subj", f"/CN={name}",
                      "-config", self.file(name + ".req"), "-out", self.file(name + ".csr"))
        when = ["-startdate", dates[0], "-enddate", dates[1]] if dates else []
        self._openssl("ca", "-batch", "-config", self.file(ca + ".cnf"), "-in",
                      self.file(name + ".csr"), "-out", self.file(name + ".crt"), "-notext", *when)
        self._join(name)

    def _self_signed(self):
        self._key("lonely")
        write(self.file("lonely.req"), f"[req]\ndistinguished_name=dn\n[dn]\n[v3]\nsubjectAltName="
              f"{LOCAL}\n".encode())
        self._openssl("req", "-x509", "-new", "-key", self.file("lonely.key"), "-days", "90", "-subj",
                      "/CN=lonely", "-config", self.file("lonely.req"), "-extensions", "v3", "-out",
                      self.file("lonely.crt"))
        self._join("lonely")

    def _join(self, name, *, then=None, to=None):
        pem = b""
        for part in [name + ".crt", then + ".pem" if then else None, name + ".key"]:
            if part:
                with open(self.file(part), "rb") as f:
                    pem += f.read()
        write(self.path(to or name), pem)

    def _staple(self, name):
        """The CA's word on a certificate, as OCSP has it."""
        self._openssl("ocsp", "-issuer", self.path("ca"), "-cert", self.file(name + ".crt"), "-no_nonce",
                      "-reqout", self.file(name + ".ask"))
        self._openssl("ocsp", "-index", self.file("index.txt"), "-CA", self.path("ca"), "-rsigner",
                      self.path("ca"), "-rkey", self.file("ca.key"), "-reqin", self.file(name + ".ask"),
                      "-respout", self.file(name + ".staple"), "-ndays", "7", "-no_nonce")


_lab = []


def need_tls():
    if not shutil.which("openssl"):
        raise Skip("needs package openssl")
    refusal = subprocess.run([Build.tool(), "listen", "--cert", "/dev/null", "tls://127.0.0.1:0"],
                             capture_output=True, check=False).stderr
    if b"this build has no TLS" in refusal:
        raise Skip("this build has no TLS")


def lab():
    """The run's own, made when first asked for."""
    if not _lab:
        need_tls()
        _lab.append(Lab())
    return _lab[0]
